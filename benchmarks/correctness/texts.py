"""Made-up texts: one context with twenty questions, and histories."""

CONTEXT = """\
The Aldermoor lighthouse was built in 1847 on a rock south of Fenwick Bay. Its tower is 41 metres
high and made of grey granite. The architect was Honora Leckie, who had studied in Utrecht. The
first keeper, Tobias Wray, lived there with two dogs. The lamp burned whale oil until 1869, when
paraffin replaced it. Electric light came in 1931 from a cable under the bay. The lens weighs 2.3
tonnes and was ground in Lyon. The light flashes white twice every 15 seconds. On clear nights it
can be seen from 18 nautical miles. The fog horn was removed in 1988 after complaints from
Fenwick. A storm in January 1953 broke eleven windows of the gallery. The last keeper, Ines
Calloway, left on 3 March 1994. Since then the light is controlled from a centre in Harrowgate. The
staircase has 196 steps of cast iron. Seals rest on the northern ledge from October to February.
The museum in the oil store opens on Saturdays only. Tickets cost 6 pounds for adults and nothing
for children under 12. The ferry from Fenwick takes 25 minutes and sails from pier 4. Dogs are not
allowed on the island during the nesting season of the terns. The trust that owns the island has
340 members."""

QUESTIONS = (
    "In which year was the Aldermoor lighthouse built?",
    "How high is the granite tower?",
    "Who was the architect?",
    "With how many dogs did the first keeper live?",
    "When did paraffin replace whale oil?",
    "When did electric light come through a cable?",
    "How much does the lens weigh?",
    "How often does the light flash white?",
    "From how many nautical miles can it be seen on clear nights?",
    "Why was the fog horn removed?",
    "How many windows of the gallery did the storm break?",
    "When did the last keeper leave?",
    "From where is the light controlled since then?",
    "How many steps does the staircase have?",
    "When do seals rest on the northern ledge?",
    "On which days does the museum open?",
    "What do tickets cost for adults?",
    "How long does the ferry take?",
    "When are dogs not allowed on the island during the nesting season?",
    "How many members does the trust have?",
)

IN_ONE_MESSAGE = (
    "Use the following pieces of context to answer the question at the end. If you don't know "
    "the answer, just say that you don't know.\n\nContext:\n{context}\n\nQuestion: {question}\n"
    "Helpful Answer:"
)

HISTORY = (
    ("human", "Hello, I would like to move my savings account to your bank."),
    ("ai", "Gladly. Do you want to keep the old account open for a while?"),
    ("human", "Yes, for two months."),
    ("ai", "Then I will plan the move for the end of the second month."),
)

LAST_QUESTIONS = (
    "What does the move cost?",
    "Can I do it online?",
    "Which papers do you need from me?",
    "Who tells my employer the new number?",
    "What happens to my standing orders?",
    "Do I keep my interest rate?",
    "Is my money insured during the move?",
    "Can my wife use the account too?",
    "When does the new card arrive?",
    "May I still cancel the move?",
    "How do I close the old account?",
    "What is the limit for withdrawals?",
    "Do you have a branch in Leeds?",
    "How do I reach you on Sundays?",
    "Can I pay in foreign coins?",
    "Does the account have a monthly fee?",
    "Which app do I need?",
    "How do I block a lost card?",
    "Are transfers to Spain free?",
    "Can I open a second account for my son?",
)

SUBJECTS = (
    "Elbe", "Rhine", "Danube", "Thames", "Loire", "Tagus", "Vistula", "Oder", "Po", "Tiber",
    "Seine", "Rhone", "Ebro", "Douro", "Meuse", "Weser", "Shannon", "Severn", "Garonne", "Spree",
)  # fmt: skip
SAME_LAST_QUESTION = "And how long is it?"
