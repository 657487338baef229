"""Look-alikes that must not share an answer, by what tells them apart."""
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
    "amounts": """
        Did any of the tests pass? | Did all of the tests pass?
        Are all files deleted? | Are any files deleted?
        Does every plan include support? | Does any plan include support?
        Does each plan include support? | Does any plan include support?
        Are all employees paid? | Are employees paid?
        Are any employees paid? | Are employees paid?
        Did few tests pass? | Did several tests pass?
        Did everyone pass? | Did anyone pass?
        Did she only read? | Did only she read?
        Do only cats chase mice? | Do cats only chase mice?
        Did all the boys eat the cakes? | Did the boys eat all the cakes?
    """,
    "roles": """
        Which services does redis depend on? | Which services depend on redis?
        Which services can redis depend on? | Which services can depend on redis?
        Which team beat them? | Which team did they beat?
        Which team can beat them? | Which team can they beat?
        What causes asthma? | What does asthma cause?
        Who paid him? | Who did he pay?
        Who is responsible for him? | Who is he responsible for?
        Who can I call? | Who can call me?
        Is the seller paying? | Is the seller paid?
        What does a trained employee cost? | What does a training employee cost?
        Am I my brother's guardian? | Is my brother my guardian?
    """,
    "prepositions": """
        Was the bill paid to the company? | Was the bill paid for the company?
        How is it stored in the cache? | How is it stored by the cache?
        Was he elected by the senate? | Was he elected of the senate?
        Is it open before noon? | Is it open until noon?
        What is the price per person? | What is the price for person?
        Was it paid to them? | Was it paid for them?
        Is the key on the table? | Is the key under the table?
        Can I walk through the park? | Can I walk around the park?
    """,
    "identifiers": """
        How do I drop the table users? | How do I drop the table user?
        What is in the column names? | What is in the column name?
        What does the function delete do? | What does the function remove do?
        What is a table called users? | What is a table called user?
        What is in /etc/hosts? | What is in /etc/host?
        What is in src/tests? | What is in src/test?
        What does --tags do? | What does --tag do?
    """,
    "case": """
        What does git branch -d do? | What does git branch -D do?
        What does `git branch -d` do? | What does `git branch -D` do?
        Is git branch -d safer than -D? | Is git branch -D safer than -d?
        What does \\d match in a regex? | What does \\D match in a regex?
        Is 10 Gb enough? | Is 10 GB enough?
        Is 10Gb enough? | Is 10GB enough?
        Is 10Gb enough? | Is 10 GB enough?
        What does ssh -p do? | What does ssh -P do?
        What does tar -C do? | What does tar -c do?
        What does %m print? | What does %M print?
        What is the date format 'yyyy-mm'? | What is the date format 'yyyy-MM'?
        what is the date format yyyy-mm | what is the date format yyyy-MM
        What does grep -v do? | What does grep -V do?
        Is 5 mg of it safe? | Is 5 Mg of it safe?
        Where does java come from? | Where does Java come from?
        where does java come from | Where does Java come from?
        How do I say it in polish? | How do I say it in Polish?
        How do I get polish off my nails? | How do I get Polish off my nails?
        Is vitamin d the same as it? | Is vitamin D the same as it?
        What does "polish" mean? | What does "Polish" mean?
        What does "bona Fide" mean? | What does "bona fide" mean?
        What does 'to' mean? | What does 'from' mean?
        Where is Main_loop defined? | Where is main_loop defined?
        Where is $path set? | Where is $PATH set?
        Is it for us? | Is it for US?
        How do I do it? | How do I do IT?
        what is it | What is IT?
        What is 7! | What is 7?
        What is 7!? | What is 7?
        What is n! | What is n?
        What is (n+1)! | What is (n+1)?
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
