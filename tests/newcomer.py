"""What a newcomer has in the folder when the quickstart begins: a list of leads, and the example campaign filled in."""

from touchline.adapters.starter import Answers, campaign_of

ANSWERS = Answers(
    sender="Mara Ellin",
    email="mara@quillmast.example",
    postal_address="1 Example Row, Dublin",
    offer="We help software teams see what their cloud costs, by feature.",
    proof="Fjordline cut its bill by a third within a quarter.",
)

LEADS = """\
Email,First Name,Last Name,Title,Company,Industry,Employees,Technologies,Funding Stage,Country
anna.berg@firm1.com,Anna,Berg,Chief Technology Officer,Firm One,Software,120,AWS; Kubernetes,Series A,Germany
bo.lind@firm2.com,Bo,Lind,VP Engineering,Firm Two,Software,300,AWS,Series B,Netherlands
anna.berg@firm1.com,Anna,Berg,Chief Technology Officer,Firm One,Software,120,AWS; Kubernetes,Series A,Germany
not an address,Cy,Holm,CEO,Firm Three,Software,80,,,Germany
"""


def campaign(port: int, *, login: bool = False) -> str:
    """The example campaign, filled in, with its mailbox at a server on loopback."""
    text = campaign_of(ANSWERS).replace('host = "smtp.quillmast.example"', 'host = "127.0.0.1"')
    text = text.replace("port = 587", f"port = {port}")
    if login:
        return text
    text = text.replace('security = "starttls"', 'security = "none"')
    return "\n".join(line for line in text.split("\n") if not line.startswith(("username =", "password_env =")))
