"""Rewordings as people write them: most of them have to pass the gates."""
# ruff: noqa: E501  (a pair stays on its line)

from __future__ import annotations

from aegis_llm.gates import gate

REWORDINGS = """
    How do I reset my password? | How can I reset my password?
    How do I reset my password? | What is the process for resetting my password?
    What is the capital of Australia? | Which city is the capital of Australia?
    What is the capital of Australia? | Tell me the capital of Australia.
    Who wrote Pride and Prejudice? | Who is the author of Pride and Prejudice?
    When did the Second World War end? | In what year did the Second World War end?
    How tall is Mount Everest? | What is the height of Mount Everest?
    How far is the moon from the earth? | What is the distance from the earth to the moon?
    What causes rainbows? | Why do rainbows form?
    How do I install Python on Windows? | How to install Python on Windows
    What are the symptoms of the flu? | What symptoms does the flu have?
    What are the symptoms of diabetes? | What are diabetes symptoms?
    How can I cancel my subscription? | How do I cancel my subscription?
    Where can I find my invoice? | Where do I find my invoice?
    What is your refund policy? | What's your refund policy?
    How do I change my email address? | How can I update my email address?
    How many people live in Tokyo? | What is the population of Tokyo?
    What is machine learning? | Explain machine learning.
    What is a neural network? | What are neural networks?
    How does photosynthesis work? | Explain how photosynthesis works.
    Can dogs eat chocolate? | Is it safe for dogs to eat chocolate?
    Is chocolate bad for dogs? | Is chocolate harmful to dogs?
    How do I delete a file in Linux? | How can I remove a file on Linux?
    How do I list files in a directory in Linux? | In Linux, how do I list the files in a directory?
    What does HTTP stand for? | What is the meaning of HTTP?
    Who invented the telephone? | Who was the inventor of the telephone?
    Who painted the Mona Lisa? | The Mona Lisa was painted by whom?
    What time does the library open? | When does the library open?
    How old is the universe? | What is the age of the universe?
    What is the largest planet in the solar system? | Which planet is the largest in the solar system?
    What is the largest planet in the solar system? | What is the biggest planet in the solar system?
    How do you make pancakes? | How do I make pancakes?
    How do I sort a list in Python? | How can I sort a Python list?
    How do I sort a list in Python? | What is the best way to sort a list in Python?
    What is the difference between TCP and UDP? | What's the difference between UDP and TCP?
    What is the difference between TCP and UDP? | How do TCP and UDP differ?
    How do I connect my phone to Wi-Fi? | How can I connect my phone to wifi?
    What is the exchange rate of the dollar to the euro? | What is the dollar to euro exchange rate?
    What is the speed of light? | How fast is light?
    Why is the sky blue? | What is the reason the sky is blue?
    Do cats sleep a lot? | Do cats sleep much?
    How do I unsubscribe from the newsletter? | How can I unsubscribe from your newsletter?
    What is the warranty period of the X200? | How long is the warranty of the X200?
    Which documents do I need for a visa? | What documents are required for a visa?
    How do I apply for parental leave? | How can I apply for parental leave?
    How do I apply for parental leave? | What do I have to do to apply for parental leave?
    What are the opening hours of the store? | What are the store's opening hours?
    When was the company founded? | When was the company established?
    How do I export data to CSV? | How can data be exported to CSV?
    What is the maximum file size for uploads? | What is the upload file size limit?
    Does the API support pagination? | Is pagination supported by the API?
    How is vitamin D absorbed by the body? | How does the body absorb vitamin D?
    What happened in the oil crisis of 1973? | What happened in the 1973 oil crisis?
    How do I turn on two-factor authentication? | How do I enable two-factor authentication?
    Please tell me how to make sourdough bread. | How do I make sourdough bread?
    how do i make sourdough bread | How do I make sourdough bread?
    I want to know how to change a tyre. | How do I change a tire?
    Could you explain what a black hole is? | What is a black hole?
    What are black holes? | what is a black hole
    Who is the current president of France? | Who is the president of France at the moment?
    Where was Albert Einstein born? | What is the birthplace of Albert Einstein?
    What's the best way to learn Spanish? | How should I learn Spanish?
    How do I get from Berlin to Munich? | How can I travel from Berlin to Munich?
    What is 15 % of 200? | What is 15 percent of 200?
    How many ounces are in a pound? | How many ounces are there in a pound?
    What is the colour of the flag of Ireland? | What color is the Irish flag?
    What are the benefits of drinking green tea? | What are the advantages of drinking green tea?
    How do I renew my driving licence? | How can I get my driving licence renewed?
    What are the side effects of aspirin? | Which side effects does aspirin have?
    What is the deadline for tax returns? | When is the tax return deadline?
    How do I create a virtual environment in Python? | How can I make a Python virtual environment?
    What's the fastest animal on earth? | Which animal is the fastest on earth?
    Who is the CEO of Microsoft? | Who's Microsoft's CEO?
    How do I undo the last commit in git? | In git, how can I undo the last commit?
    What is the chemical symbol for gold? | What's gold's chemical symbol?
    How do I boil an egg? | How do you boil eggs?
    Where is the Eiffel Tower? | Where is the Eiffel Tower located?
    When was the Eiffel Tower built? | In which year was the Eiffel Tower built?
    How much does a passport cost? | What is the price of a passport?
    How much does a passport cost? | What does a passport cost?
    Can I change my flight? | Is it possible to change my flight?
    Is there a way to merge two PDFs? | Can I merge two PDFs?
    How do I remove a stain from a carpet? | What is the best way to remove a carpet stain?
    How do I get rid of ants? | How can I get rid of ants?
    Why is my laptop so slow? | Why is my laptop slow?
    Why does my phone get hot? | What is the reason my phone gets hot?
    Who was the first person on the moon? | Who was the first man on the moon?
    What's the time difference between London and New York? | What is the time difference between New York and London?
    How long is the Great Wall of China? | What is the length of the Great Wall of China?
    How do vaccines work? | Can you explain how vaccines work?
    What is quantum computing? | Please explain quantum computing.
    What is inflation? | Define inflation.
    How do I center a div in CSS? | How do I centre a div with CSS?
    What is the default port of Redis? | What is Redis's default port?
    What is the default port of Redis? | Which port does Redis use by default?
    What are the main causes of climate change? | What are the primary causes of climate change?
    How does one apply for a mortgage? | How do I apply for a mortgage?
    How do I download the invoice from January? | How can I download January's invoice?
    Do I have to pay customs duties? | Do I need to pay customs duties?
    What is the meaning of the word ubiquitous? | What does the word ubiquitous mean?
    What happens if I miss a payment? | What happens when I miss a payment?
    Does the hotel have a pool? | Is there a pool in the hotel?
    What languages are spoken in Switzerland? | Which languages do people speak in Switzerland?
    How do I contact customer support? | How can I contact the customer support team?
    What is the average salary of a nurse in Germany? | What's the average nurse salary in Germany?
    How do I back up my phone? | How can I backup my phone?
    How do I set up two monitors? | How to set up 2 monitors?
    Where can I download the app? | Where can the app be downloaded?
    What is the maximum length of a tweet? | How long can a tweet be?
    Which team won the 2014 World Cup? | Who won the 2014 World Cup?
    Which team won the 2014 World Cup? | Which team won the World Cup in 2014?
    How many days are there in a leap year? | How many days does a leap year have?
    What does a project manager do? | What do project managers do?
    What is a good recipe for lasagna? | What's a good lasagna recipe?
    Is it going to rain tomorrow? | Will it rain tomorrow?
    How do I write a cover letter? | How should I write a cover letter?
    Could you tell me how to tie a tie? | How do I tie a tie?
    How do I change the language of the app? | How can I change the app's language?
    What is the largest city in Canada? | Which is Canada's largest city?
    How do I freeze bread? | What's the best way to freeze bread?
    When does the fiscal year start? | When does the fiscal year begin?
    Can you explain recursion? | What is recursion?
    How many calories are in a banana? | How many calories does a banana have?
    What are the ingredients of hummus? | What ingredients are in hummus?
    How do I join two tables in SQL? | In SQL, how do I join two tables?
    Is a tomato a fruit? | Are tomatoes fruits?
    How do I open a bank account in Spain? | How can I open a bank account in Spain?
    Which countries border Germany? | What countries border Germany?
    How do I reduce my electricity bill? | How can I lower my electricity bill?
    Who was the first emperor of Rome? | Who was Rome's first emperor?
    What does a liver do? | What is the function of the liver?
    How do I clean a cast iron pan? | How should I clean a cast-iron pan?
    What is the vacation policy for interns? | What's the vacation policy for interns?
    How do I request a new badge? | How can I request a new badge?
    Where do I submit expense reports? | Where should I submit my expense reports?
    Who do I contact about payroll? | Whom do I contact about payroll?
    What is the retention period for logs? | What's the log retention period?
    How do I rotate the API keys? | How are the API keys rotated?
    Which ports must be open? | What ports need to be open?
    What is the SLA for support tickets? | What is the support ticket SLA?
    How is overtime paid? | How do you pay overtime?
    How do I restart the server? | How to restart the server?
    What did the 1973 oil embargo cause? | What was caused by the 1973 oil embargo?
    Why did the Roman Empire fall? | What is the reason for the fall of the Roman Empire?
    How do I get a refund? | How can I get a refund?
    When was NASA founded? | In what year was NASA founded?
    How do I convert a PDF to Word? | How can I convert PDF files to Word?
"""
"""Some are beyond rules: another word class, another point of view."""

SEEN_THROUGH = 0.75
"""Share of the rewordings that must pass."""


def test_most_rewordings_pass() -> None:
    pairs = [line.strip().split(" | ") for line in REWORDINGS.strip().splitlines()]
    refused = [(gate(a, b), a, b) for a, b in pairs if gate(a, b) is not None]
    assert len(pairs) >= 100
    assert 1 - len(refused) / len(pairs) >= SEEN_THROUGH, refused
