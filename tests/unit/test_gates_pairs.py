"""Look-alikes that must not share an answer, and rewordings that may."""
# ruff: noqa: E501, RUF001  (a pair stays on its line, in its own alphabet)

from __future__ import annotations

import pytest

from aegis_llm.gates import gate

LOOK_ALIKES = {
    "numbers": """
        What is 15 % of 300? | What is 25 % of 300?
        How do I take 500 mg of paracetamol? | How do I take 1000 mg of paracetamol?
        Who won the World Cup in 2018? | Who won the World Cup in 2022?
        What changed in version 3.11? | What changed in version 3.12?
        What changed in Python 3.1? | What changed in Python 3.10?
        What is the second law of thermodynamics? | What is the third law of thermodynamics?
        Who was the 16th president? | Who was the 26th president?
        Can I park here for two hours? | Can I park here for three hours?
        What happened on 4 May 1979? | What happened on 5 May 1979?
        What is -5 degrees in Fahrenheit? | What is 5 degrees in Fahrenheit?
        How do I split 2 rooms among 3 people? | How do I split 3 rooms among 2 people?
        Which symptoms does a 5-year-old have? | Which symptoms does a 6-year-old have?
        Is 1,000 prime? | Is 10,000 prime?
        What happened in World War I? | What happened in World War II?
        Who was king in the 1780s? | Who was king in the 1790s?
        Who was Elizabeth I? | Who was Elizabeth II?
        What is step one? | What is step two?
    """,
    "units": """
        Is 5 mg a safe dose? | Is 5 g a safe dose?
        How much is 100 USD in yen? | How much is 100 EUR in yen?
        How long does it take to walk 3 km? | How long does it take to walk 3 miles?
        Is $50 enough for a taxi? | Is €50 enough for a taxi?
        Does it boil at 100 °C? | Does it boil at 100 °F?
        Is the limit 5 MB? | Is the limit 5 GB?
        Does the shop close at 8 am? | Does the shop close at 8 pm?
        Can I return it within 30 days? | Can I return it within 30 weeks?
    """,
    "literals": """
        Where is order #D-7781? | Where is order #D-7782?
        What does ERR_CONN_RESET mean? | What does ERR_CONN_REFUSED mean?
        What is in /etc/passwd? | What is in /etc/shadow?
        Who owns ann@example.com? | Who owns bob@example.com?
        What is on https://example.com/a? | What is on https://example.com/b?
        What does `x[0]` return? | What does `x[1]` return?
        What does "bona fide" mean? | What does "mala fide" mean?
        What does f(a, b) do? | What does g(a, b) do?
        How do I write a loop in C? | How do I write a loop in C++?
        How do I write a loop in C#? | How do I write a loop in C?
        How do I call getName? | How do I call get_name?
        Is a < b? | Is a > b?
        Is vitamin B12 in milk? | Is vitamin B6 in milk?
        What is 5+3? | What is 5*3?
        What does "to" mean? | What does "from" mean?
    """,
    "negation": """
        Why do cats like water? | Why don't cats like water?
        How do I cook with oil? | How do I cook without oil?
        Is it legal to park here? | Is it not legal to park here?
        Which foods can dogs eat? | Which foods can dogs not eat?
        Which countries use the euro? | Which countries never use the euro?
        Who came except Anna? | Who came with Anna?
        Why do dogs not chase cats that bite? | Why do dogs chase cats that do not bite?
        Can I travel if I have a visa? | Can I travel if I have no visa?
        Will it start if I charge it? | Will it start unless I charge it?
        Can I fly with a passport? | Can I fly with no passport?
        What can't I bring on a plane? | What can I bring on a plane?
        Does it work on Windows? | Doesn't it work on Windows?
        Warum ist der Himmel blau? | Warum ist der Himmel nicht blau?
        Avec sucre ou pas ? | Avec sucre ou ?
    """,
    "opposites": """
        How do I enable dark mode? | How do I disable dark mode?
        How do I turn on notifications? | How do I turn off notifications?
        What should I eat before a run? | What should I eat after a run?
        Which country has the highest tax? | Which country has the lowest tax?
        What is the minimum order? | What is the maximum order?
        Is coffee good for the heart? | Is coffee bad for the heart?
        What are the advantages of solar power? | What are the disadvantages of solar power?
        How do I gain weight? | How do I lose weight?
        How do I lock the door? | How do I unlock the door?
        Who arrived first? | Who arrived last?
        How do I import contacts? | How do I export contacts?
        How can I become more patient? | How can I become less patient?
        Is it safe to eat? | Is it unsafe to eat?
        How do I encrypt a file? | How do I decrypt a file?
        How do I sort in ascending order? | How do I sort in descending order?
        Does the price include tax? | Does the price exclude tax?
        Is the shop above the bank? | Is the shop below the bank?
        Who was there until noon? | Who was there since noon?
        What is the largest moon? | What is the smallest moon?
        How do I log in? | How do I log out?
        How does the pump start? | How does the pump stop?
    """,
    "names": """
        What is the capital of France? | What is the capital of Spain?
        what is the capital of france | what is the capital of spain
        capital of france | capital of spain
        Who is Paris Hilton? | Who is Perez Hilton?
        What is the weather in Paris? | What is the weather in London?
        How do I install Postgres on Debian? | How do I install Postgres on Fedora?
        Can dogs eat grapes? | Can cats eat grapes?
        How do I grow tomatoes? | How do I grow potatoes?
        What is the population of Georgia? | What is the population of Georgia in Europe?
        What is vitamin A? | What is vitamin B?
        What is the name of the brother of Anna? | What is the name of the sister of Anna?
        Where can I buy an iPhone? | Where can I buy a Pixel?
        how do i cook rice | how do i cook pasta
        What is the boiling point of water? | What is the melting point of water?
        Is Lisa a doctor? | Is Lisa a lawyer?
        What is the tallest building in Dubai? | What is the tallest building?
        What is the US population? | What is the UK population?
        Who is Will Smith? | Who is Sam Smith?
        What is artificial intelligence? | What is artificial insemination?
        How do I delete a branch? | How do I rename a branch?
    """,
    "direction": """
        How do I convert MySQL to Postgres? | How do I convert Postgres to MySQL?
        Are there flights from Rome to Oslo? | Are there flights from Oslo to Rome?
        Are there flights from Rome? | Are there flights to Rome?
        Did Germany beat Brazil? | Did Brazil beat Germany?
        Is iron heavier than lead? | Is lead heavier than iron?
        How do I translate English into German? | How do I translate German into English?
        Does the cat chase the dog? | Does the dog chase the cat?
        Was Caesar killed by Brutus? | Was Brutus killed by Caesar?
        Did Brutus kill Caesar? | Was Brutus killed by Caesar?
        Who is the mother of the king? | Who is the king of the mother?
        How do sharks attack? | How are sharks attacked?
        Which books by Orwell exist? | Which books about Orwell exist?
        Why did the teacher thank the boy? | Why did the boy thank the teacher?
        How do I subtract 3 from 5? | How do I subtract 5 from 3?
        Can he marry her? | Can she marry him?
        How do I send mail to Anna from Bob? | How do I send mail to Bob from Anna?
        Is a trip to Rome cheaper than one from Rome? | Is a trip from Rome cheaper than one to Rome?
        Did rain follow wind? | Did wind follow rain?
    """,
    "kind": """
        Who built the tower? | When did they build the tower?
        Who discovered the island? | How was the island discovered?
        Where was the treaty signed? | When was the treaty signed?
        Why does ice float? | Does ice float?
        How many players are in a team? | Who are the players in a team?
        Can I renew my passport online? | How do I renew my passport online?
        How much does the ticket cost? | Where can I buy the ticket?
        What is a mortgage? | How does a mortgage work?
        How often does the bus run? | How long does the bus run?
        Should I take aspirin? | Can I take aspirin?
        Must I file a return? | May I file a return?
        When is the match? | Where is the match?
        What is your name? | What is my name?
        Who are you? | Who am I?
    """,
    "quantity": """
        Which birds can fly? | Which birds can only fly?
        What is the popular song here? | What is the most popular song here?
        Do all birds fly? | Do some birds fly?
        Is everyone invited? | Is someone invited?
        Do I need at least two guests? | Do I need at most two guests?
        Do I need coffee and tea? | Do I need coffee or tea?
    """,
    "time": """
        Who is the director of the museum? | Who was the director of the museum?
        When will the game be released? | When was the game released?
        Is Anna a teacher? | Did Anna use to be a teacher?
        Who is the current champion? | Who is the former champion?
        What opens on Monday? | What opens on Tuesday?
        What opens in May? | What opens in June?
    """,
    "mixed": """
        Who did Anna call? | Who called Anna?
        What eats owls? | What do owls eat?
        How do I get paid by PayPal? | How do I pay by PayPal?
        Can I be fired for lying? | Can I fire for lying?
        Where is he? | Where are they?
        What is this? | What are those?
        Does he have a dog? | Does he want a dog?
        How do we win? | How do they win?
        Do I have to wear a mask? | Do I wear a mask?
        How much do I need to eat? | How much do I eat?
        Which documents must I bring? | Which documents can I bring?
        Is it too hot? | Is it hot?
        How do I put off a meeting? | How do I put up a meeting?
        Is Java faster than Python? | Is Python faster than Java?
        When is the next election? | When was the last election?
        What is the third letter of apple? | What is the second letter of apple?
        Who plays Batman in The Dark Knight? | Who plays Batman in The Dark Knight Rises?
        How do I open a file for reading? | How do I open a file for writing?
        How do I define a function? | How do I explain a function?
        Is it raining? | Will it rain?
        Who is taller, Ann or Bob? | Who is shorter, Ann or Bob?
        Is it cheaper to fly to Rome? | Is it cheaper to fly from Rome?
        Do vegetarians eat fish? | Do vegans eat fish?
        What did Plato say about Socrates? | What did Socrates say about Plato?
        Which team lost to Brazil? | Which team did Brazil lose to?
        What is larger than Jupiter? | What is Jupiter larger than?
        Whose dog bit Tom? | Whose dog did Tom bite?
        Why was Anna angry with Bob? | Why was Bob angry with Anna?
        How do I share a screen with Bob? | How do I share Bob with a screen?
        What is the mass of the electron in the atom? | What is the mass of the atom in the electron?
        Can I bring food into the museum? | Can I take food out of the museum?
        What causes diabetes? | What does diabetes cause?
        Does smoking cause cancer? | Does cancer cause smoking?
        Is coffee made from beans? | Are beans made from coffee?
        When was the iPhone 5 released? | When was the iPhone 5s released?
        What is USB 2.0? | What is USB 3.0?
        What is a GPU? | What is a CPU?
        How do I say yes in French? | How do I say no in French?
        What is the singular of mice? | What is the plural of mice?
        Is the earth flat? | Is the earth round?
        What if I miss my flight? | What if my flight is delayed?
        Is water wet? | Is water dry?
        How do I become a nurse? | How do I hire a nurse?
        What are employees entitled to? | What are employers entitled to?
        Can minors vote? | Can miners vote?
        Was Obama born in Hawaii? | Was Obama born outside Hawaii?
        Does it snow in Rome in May? | Does it snow in Rome in June?
        Where do I sign up? | Where do I sign in?
        Who teaches Anna? | Who does Anna teach?
        How do I print odd pages? | How do I print even pages?
        What did she give him? | What did he give her?
        What is a man? | What is a woman?
        How long does milk keep in the fridge? | How long does milk keep outside the fridge?
        Which is worse, fire or flood? | Which is better, fire or flood?
        What were the first two books? | What were the last two books?
        Is it before or after noon? | Is it before noon?
        Can you see me? | Can I see you?
        Should I tell my boss? | Should my boss tell me?
        Do I owe you money? | Do you owe me money?
        How do I ask him for help? | How do I help him?
        Is my son taller than me? | Am I taller than my son?
        Did the cat that chased the dog escape? | Did the dog that chased the cat escape?
        How do I move files from A to B? | How do I move files from B to A?
        How do I move from an iPhone to Android? | How do I move from Android to an iPhone?
        Is 0.5 bigger than 0.4? | Is 0.4 bigger than 0.5?
        What is 10 minus 3? | What is 3 minus 10?
        What is 10 - 3? | What is 10 + 3?
        What is ten minus three? | What is ten minus two?
        Does A imply B? | Does B imply A?
        Is all milk white? | Is no milk white?
        Who is not invited? | Who is invited?
        Can a non-EU citizen work in an EU country? | Can an EU citizen work in a non-EU country?
        Which drugs interact with aspirin? | Which drugs do not interact with aspirin?
        Is it possible to live without oxygen? | Is it possible to live with oxygen?
        Are there any side effects? | Are there no side effects?
        How do I stop smoking? | How do I start smoking?
        How do I prevent mold? | How do I cause mold?
        Why did sales rise? | Why did sales fall?
        Who bought Twitter? | Who sold Twitter?
        Was the film a success? | Was the film a failure?
        What is the fastest route? | What is the slowest route?
        How do I write to a file? | How do I read from a file?
        Where can I rent a car? | Where can I rent out a car?
        Is it legal? | Is it illegal?
        What is the import tax? | What is the export tax?
        How do I mute a user? | How do I unmute a user?
        Can I pay monthly? | Can I pay yearly?
        Can I pay daily? | Can I pay weekly?
        What is the area of a circle? | What is the circumference of a circle?
        Is the museum open on Sunday? | Is the museum open on Saturday?
        Where is Paris, Texas? | Where is Paris, France?
        Where is Springfield, Illinois? | Where is Springfield?
        What is the time in Tokyo? | What is the date in Tokyo?
        What is the best phone under $500? | What is the best phone over $500?
        How many legs has a spider? | How many eyes has a spider?
        Who invented the telephone? | Who invented the telegraph?
        Who painted it first? | Who painted it second?
        Which of them is older? | Which of them is younger?
        What happens if I press it once? | What happens if I press it twice?
        What is half of 10? | What is double 10?
        Is tomorrow a holiday? | Is today a holiday?
        How do I renew a visa for Japan? | How do I renew a visa from Japan?
        Wie aktiviere ich das WLAN? | Wie deaktiviere ich das WLAN?
        Wie hoch ist der Eiffelturm? | Wie alt ist der Eiffelturm?
        Darf ich hier parken? | Darf ich hier nicht parken?
        Combien coûte un kilo de pommes ? | Combien coûte un kilo de poires ?
        Comment aller de Paris à Lyon ? | Comment aller de Lyon à Paris ?
        ¿Cuál es la capital de España? | ¿Cuál es la capital de Francia?
        How many vacation days do interns get? | How many sick days do interns get?
        Who approves travel expenses? | Who approves travel requests?
        What is the SLA for P1 incidents? | What is the SLA for P2 incidents?
        What is the policy for contractors? | What is the policy for employees?
        Can I deploy on Fridays? | Can I deploy on Mondays?
        What is the default timeout of the client? | What is the default timeout of the server?
        How do I add a user to a group? | How do I remove a user from a group?
        How do I add a user to a group? | How do I add a group to a user?
        What is the maximum upload size? | What is the minimum upload size?
        Is MFA required for admins? | Is MFA required for guests?
        Who reports to Anna? | Who does Anna report to?
        How long are logs kept? | How long are backups kept?
        Is data encrypted at rest? | Is data encrypted in transit?
        What is the price per month? | What is the price per year?
        How do I opt in? | How do I opt out?
        What is new in release 2.4.1? | What is new in release 2.4.2?
        What does error 404 mean? | What does error 403 mean?
        Can I use it offline? | Can I use it online?
        Which plan includes SSO? | Which plan does not include SSO?
        What happens before the trial ends? | What happens after the trial ends?
        How do I scale up? | How do I scale down?
        What is the CPU limit? | What is the memory limit?
        Is the API free? | Is the API paid?
        Should I use tabs? | Should I use spaces?
        What is the capital of North Korea? | What is the capital of South Korea?
        What is the capital of Korea? | What is the capital of North Korea?
        Who is the wife of the king? | Who is the king's wife's mother?
        Is x greater than y? | Is y greater than x?
        Do I multiply a by b? | Do I divide a by b?
        What is a stock? | What is stocking?
        Is dinner at 7? | Is dinner at 7:30?
        Is my flight at 7:30? | Is my flight at 8:30?
        Is it 20 % off? | Is it 20 % on?
        Are cats better than dogs? | Are cats as good as dogs?
        What do cats like about dogs? | What do dogs like about cats?
        When did Apple buy Beats? | When did Beats buy Apple?
    """,
    "language": """
        Was ist Liebe? | What is love?
        Что такое любовь? | What is love?
        東京の人口は？ | 大阪の人口は？
        ما هي عاصمة فرنسا؟ | ما هي عاصمة إسبانيا؟
        Wie wechsle ich von Windows zu Linux? | Wie wechsle ich von Linux zu Windows?
        Quelle est la capitale de la France ? | Quelle est la capitale de la Chine ?
        Is this good 👍? | Is this good 👎?
    """,
}

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
"""Rewordings as people write them; some are beyond rules (another word class, another view)."""

SEEN_THROUGH = 0.75
"""Share of the rewordings that must pass."""


def _pairs(text: str) -> list[tuple[str, str]]:
    pairs = []
    for line in text.strip().splitlines():
        a, mark, b = line.strip().partition(" | ")
        assert mark, line
        pairs.append((a, b))
    return pairs


@pytest.mark.parametrize(
    ("a", "b"), [pair for text in LOOK_ALIKES.values() for pair in _pairs(text)]
)
def test_look_alikes_are_refused(a: str, b: str) -> None:
    assert gate(a, b) is not None


def test_most_rewordings_pass() -> None:
    pairs = _pairs(REWORDINGS)
    refused = [(gate(a, b), a, b) for a, b in pairs if gate(a, b) is not None]
    assert len(pairs) >= 100
    assert 1 - len(refused) / len(pairs) >= SEEN_THROUGH, refused
