"""Wrong and hostile input: one clear message, a stable exit code, and nothing half-written."""

import csv
import io
import json
import zipfile
from email.parser import BytesParser
from email.policy import default

import pytest

from world import TUESDAY, WEDNESDAY, World

HEADER = b"email,first_name,company\n"
GOOD = b"ann0@firm0.com,Ann,Firm 0\n"


@pytest.fixture
def ready(sqlite_world: World) -> World:
    sqlite_world.set_up()
    return sqlite_world


def refused(world: World, *argv: str, code: int = 65, **variables: str) -> str:
    """What the command says when it refuses: one message, no traceback, nothing on standard output."""
    done = world.run(*argv, code=code, **variables)
    assert done.out == ""
    assert "Traceback" not in done.err
    first, *rest = done.err.splitlines()
    assert first.startswith("touchline: ")
    assert all(line.startswith("  ") or "unknown key" in line for line in rest)
    return done.err


def nothing_kept(world: World) -> None:
    assert world.run("leads", "list", "--json").json == []
    assert world.run("imports", "list", "--json").json == []


def workbook() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("xl/workbook.xml", "<workbook/>")
    return file.getvalue()


def no_list(world: World, *told: tuple[bytes, str]) -> None:
    """Each of these files is refused in these words, and nothing is kept."""
    for content, said in told:
        (world.home / "odd.csv").write_bytes(content)
        assert said in refused(world, "import", "odd.csv", "-c", "spring")
    nothing_kept(world)


def test_an_empty_file_is_refused(ready: World) -> None:
    no_list(ready, (b"", "is empty"), (b"\n\n\n", "is empty"), (b"\xef\xbb\xbf", "is empty"))


def test_a_file_without_a_header_is_refused(ready: World) -> None:
    no_list(ready, (GOOD * 3, "no header"))


def test_a_list_that_says_of_nobody_who_they_are_is_refused_with_the_columns_it_has(ready: World) -> None:
    no_list(ready, (b"colour,shape\nred,round\n", "No column"), (b"first_name,employees\nAnn,5\n", "'first_name'"))


def test_two_columns_for_one_field_are_refused_with_both_names(ready: World) -> None:
    content = b"email,E-mail\na@firm1.com,b@firm1.com\n"
    no_list(ready, (content, "two columns for email"), (content, "'E-mail'"))


def test_a_file_of_another_kind_is_refused_by_name(ready: World) -> None:
    utf_32 = b"\xff\xfe\x00\x00" + "email\na@firm1.com".encode("utf-32-le")
    no_list(
        ready,
        (workbook(), "Excel workbook"),
        (b"\x1f\x8b\x08\x00" + bytes(99), "gzip"),
        (utf_32, "UTF-32"),
        (b"<!DOCTYPE html><html>log in</html>", "web page"),
        (bytes(5_000), "NUL"),
        (b"x" * 2_000_000, "longer than"),
    )


def test_a_file_in_another_encoding_is_read_as_what_it_is(ready: World) -> None:
    for number, encoding in enumerate(("utf-16", "utf-16-le", "utf-16-be", "cp1252", "latin-1", "utf-8-sig")):
        text = f"email,first_name,city\nren{number}@firm0.com,Renée,Köln\n"
        (ready.home / "odd.csv").write_bytes(text.encode(encoding))
        assert ready.run("import", "odd.csv", "-c", "spring", "--json").json["counts"]["new"] == 1, encoding
    found = {(lead["first_name"], lead["city"]) for lead in ready.run("leads", "list", "--json").json}
    assert found == {("Renée", "Köln")}


def test_a_line_of_a_hundred_megabytes_costs_its_row_and_hardly_any_memory(ready: World) -> None:
    rows = HEADER + GOOD, b",Long,Firm\nlast@firm6.com,Last,Firm\n"
    peaks = []
    for megabytes in (2, 100):
        with (ready.home / "odd.csv").open("wb") as file:
            file.write(rows[0])
            for _ in range(megabytes):
                file.write(b"x" * 1_000_000)
            file.write(rows[1])
        done = ready.run("import", "odd.csv", "-c", "spring", "--json")
        assert (done.json["rows"], done.json["counts"]["rejected"]) == (3, 1)
        assert {"outcome": "rejected", "reason": "line_too_long", "rows": 1} in done.json["reasons"]
        peaks.append(done.peak / 1024)
    assert peaks[1] < peaks[0] + 50, "MiB"


def test_paths_that_are_no_file_are_refused(ready: World) -> None:
    assert "directory" in refused(ready, "import", ".", "-c", "spring")
    assert "There is no file" in refused(ready, "import", "nowhere.csv", "-c", "spring")
    assert "not a regular file" in refused(ready, "import", "/dev/null", "-c", "spring")
    nothing_kept(ready)


def test_a_header_alone_is_a_list_of_no_leads(ready: World) -> None:
    (ready.home / "odd.csv").write_bytes(HEADER)
    assert ready.run("import", "odd.csv", "-c", "spring", "--json").json["rows"] == 0


def test_bad_rows_are_counted_with_their_reason_and_good_ones_go_on(ready: World) -> None:
    rows = [
        GOOD,
        b"a@b.com,too,many,cells\n",
        b"short@firm2.com\n",
        b"nul\0@firm3.com,Nul,Firm\n",
        b"long@firm4.com," + b"x" * 2_000_000 + b",Firm\n",
        b"not an address,Bo,Firm\n",
        b",,\n",
        b"caf\xe9@firm5.com,Ren\xe9e,Firm\n",
        b'last@firm6.com,"never closed,Firm\n',
    ]
    (ready.home / "odd.csv").write_bytes(HEADER + b"".join(rows))
    done = ready.run("import", "odd.csv", "-c", "spring", "--json").json
    reasons = {r["reason"]: r["rows"] for r in done["reasons"] if r["outcome"] == "rejected"}
    assert done["rows"] == sum(done["counts"].values()) == len(rows)
    assert {"too_many_fields", "nul_byte", "line_too_long", "bad_address", "no_identity", "unclosed_quote"} <= set(
        reasons
    )
    assert {r["email"] for r in ready.run("leads", "list", "--json").json} >= {"ann0@firm0.com", "short@firm2.com"}


def test_a_number_that_is_none_is_unknown_and_never_matches(ready: World) -> None:
    cells = ("NaN", "inf", "-Infinity", "1e999", "--", "9" * 400, "0x10", "#DIV/0!")
    rows = [f"ann{i}@firm0.com,{cell},{cell},{cell}" for i, cell in enumerate(cells)]
    (ready.home / "odd.csv").write_text("\n".join(["email,employees,budget,timeline", *rows]), "utf-8")
    assert ready.run("import", "odd.csv", "-c", "spring", "--json").json["counts"]["new"] == len(cells)
    found = ready.run("leads", "list", "--json").json
    assert {(lead["employees"], lead["budget"], lead["timeline_months"]) for lead in found} == {(None, None, None)}
    assert ready.run("leads", "list", "--where", "employees >= 0 OR budget >= 0", "--json").json == []


def with_change(world: World, old: str, new: str) -> str:
    text = (world.home / "test.toml").read_text("utf-8")
    assert old in text
    (world.home / "changed.toml").write_text(text.replace(old, new, 1), "utf-8")
    return "changed.toml"


def wrong_campaigns(world: World, *told: tuple[str, str, str]) -> None:
    """Each of these changes of the campaign is refused in these words, and the campaign stays as it was."""
    for old, new, said in told:
        assert said in refused(world, "campaign", "apply", with_change(world, old, new))
    assert [c["version"] for c in world.run("campaign", "list", "--json").json] == [1]


def test_a_typo_in_a_campaign_is_refused_with_the_key_and_the_likely_right_one(ready: World) -> None:
    wrong_campaigns(
        ready,
        ("otherwise =", "otherwize =", "unknown key 'otherwize', did you mean 'otherwise'?"),
        ("daily_cap", "daylicap", "did you mean 'daily_cap'?"),
        ('sequence = "short"', 'sequence = "shrot"', "did you mean 'short'?"),
        ("Europe/Berlin", "Europe/Berln", "did you mean 'Europe/Berlin'?"),
        ('mode = "automatic"', "mode = automatic", "is not TOML"),
    )


def test_a_rule_with_an_unknown_column_or_beyond_the_language_is_refused_with_its_place(ready: World) -> None:
    wrong_campaigns(
        ready,
        ("employees < 10", "employes < 10", "no column 'employes', did you mean 'employees'?"),
        *(
            ("employees < 10", rule, "rules[too small].when")
            for rule in (
                "employees + 1 < 10",
                "title ~ 'x'",
                "employees < (SELECT 1)",
                "employees < 10; DROP TABLE leads",
                "random() < 1",
                "CASE WHEN employees < 10 THEN 1 END = 1",
            )
        ),
        ("fit >= 0", "fitt >= 0", "did you mean 'fit'?"),
        ("employees BETWEEN 50", "employes BETWEEN 50", "icp.fit.size.parts[50 to 500].when"),
    )


def test_a_template_with_an_undefined_name_or_without_an_end_is_refused_with_its_place(ready: World) -> None:
    place = "sequences.short.steps[hello].text"
    wrong_campaigns(
        ready,
        ("company | default: 'your team'", "compnay | default: 'your team'", "did you mean 'company'?"),
        ("how does", "{% for i in (1..999999999) %}x{% endfor %}", "a range such as (1..9) is not for messages"),
        ("how does", "{% for i in tech %}", place),
        ("how does", "{% include 'x' %}", place),
        ("how does", "{{ first_name", place),
    )


def test_a_number_that_is_not_finite_is_refused_in_a_campaign_and_in_a_condition(ready: World) -> None:
    for number in ("nan", "inf", "-inf", "1e400"):
        wrong_campaigns(
            ready,
            ("points = 60", f"points = {number}", "points: Input should be a finite number"),
            ("daily_cap = 1000", f"daily_cap = {number}", "daily_cap: Input should be a finite number"),
            ("wait_days = 3", f"wait_days = {number}", "wait_days: Input should be a finite number"),
            ("employees < 10", f"employees < {number}", "rules[too small].when"),
        )
        refused(ready, "leads", "list", "--where", f"budget < {number}")


def test_a_line_end_where_a_campaign_wants_one_line_is_refused(ready: World) -> None:
    wrong_campaigns(
        ready,
        ('name = "Mara Ellin"', 'name = "Mara\\r\\nBcc: spy@firm3.com"', "mailboxes[1].name: a name is one line"),
        ("mara@quillmast.example", "mara@quillmast.example\\r\\nBcc: spy@firm3.com", "address"),
        ('name = "spring"', 'name = "spring\\r\\nBcc: spy@firm3.com"', "name: use lower-case letters"),
    )


def test_a_campaign_file_that_is_no_text_is_refused(ready: World) -> None:
    (ready.home / "odd.toml").write_bytes(b'name = "\xff"')
    assert "not UTF-8" in refused(ready, "campaign", "apply", "odd.toml")
    assert "folder" in refused(ready, "campaign", "apply", ".")
    assert "cannot be read" in refused(ready, "campaign", "apply", "nowhere.toml")


def test_line_ends_in_names_and_addresses_never_make_a_header_or_a_recipient(ready: World) -> None:
    evil = "Bcc: spy@firm3.com"
    text = (
        "email,first_name,title,company,employees,country\n"
        f'ann0@firm0.com,"Ann\r\n{evil}","Lead\r\n\r\n{evil}","Firm\r{evil}",120,Germany\n'
        f'"ann1@firm1.com\r\n{evil}",Bo,Lead,Firm,120,Germany\n'
        '"ann2@firm2.com,spy@firm3.com",Cy,Lead,Firm,120,Germany\n'
    )
    campaign = (ready.home / "test.toml").read_text("utf-8")
    for old, new in (
        ("Hello {{ first_name | default: 'there' }}", f"To the {{{{ title }}}}\\r\\n{evil}"),
        ("Quillmast", f"Quillmast\\r\\n{evil}"),
        ("1 Example Row", f"1 Example Row\\r\\n\\r\\n{evil}"),
        ('name = "Mara"', f'name = "Mara\\r\\n{evil}"'),
    ):
        assert old in campaign
        campaign = campaign.replace(old, new)
    (ready.home / "evil.toml").write_text(campaign, "utf-8")
    ready.run("campaign", "apply", "evil.toml")
    (ready.home / "odd.csv").write_text(text, "utf-8", newline="")
    ready.run("import", "odd.csv", "-c", "spring")
    typed = f"dee@firm4.com\r\n{evil}"
    assert ready.run("leads", "add", "-c", "spring", "--email", typed, "--json").json["counts"]["rejected"] == 1
    refused(ready, "suppress", "add", typed)
    ready.run("leads", "add", "-c", "spring", "--email", "dee@firm4.com", "--set", f"title=Lead\n{evil}")
    ready.run("run", "-c", "spring", "--until", "nurture", now=TUESDAY)
    ready.run("run", "-c", "spring", now=WEDNESDAY)
    assert len(ready.smtp.messages) == 2
    for received in ready.smtp.messages:
        assert len(received.rcpt_to) == 1
        assert "spy" not in received.rcpt_to[0]
        head = received.data.partition(b"\r\n\r\n")[0].lower()
        assert b"\r\nbcc:" not in head
        mail = BytesParser(policy=default).parsebytes(received.data)
        assert [address.addr_spec for address in mail["To"].addresses] == list(received.rcpt_to)
        assert len(mail.get_all("Subject")) == len(mail.get_all("To")) == len(mail.get_all("From")) == 1
        assert mail["Subject"] == f"To the Lead {evil} {evil}"


def test_escape_sequences_never_reach_the_terminal(ready: World) -> None:
    evil = "\x1b]0;owned\x07\x1b[31mAnn\x9b2J\u202e"
    text = f"email,first_name,company,notes{evil}\nann0@firm0.com,{evil},{evil},{evil}\nbad {evil},x,y,z\n"
    (ready.home / "odd.csv").write_text(text, "utf-8")
    shown = [ready.run("import", "odd.csv", "-c", "spring"), ready.run("imports", "show", "1")]
    ready.run("run", "-c", "spring", "--until", "nurture")
    shown += [
        ready.run("leads", "list"),
        ready.run("leads", "list", "-c", "spring"),
        ready.run("explain", "ann0@firm0.com"),
        ready.run("outbox", "list", "--state", "planned"),
        ready.run("outbox", "list", "--state", "planned", "--full"),
        ready.run("suppress", "add", "--kind", "account", evil),
        ready.run("suppress", "list"),
        ready.run("explain", evil, code=66),
        ready.run("campaign", "show", evil, code=66),
        ready.run("import", f"{evil}.csv", "-c", "spring", code=65),
        ready.run("leads", "list", "--where", f"title = '{evil}' AND x{evil} = 1", code=65),
    ]
    for done in shown:
        for text in (done.out, done.err):
            assert not set(text) & set("\x1b\x07\x9b\u202e"), done.argv


WRONG_SETTINGS = (
    ("batch_rws = 5", "unknown key 'batch_rws', did you mean 'batch_rows'?"),
    ("[log]\nlevle = 'info'", "unknown key 'log.levle', did you mean 'log.level'?"),
    ("[log]\nlevel = 'loud'", "log.level"),
    ("batch_rows = 'many'", "batch_rows"),
    ("batch_rows = ", "not valid TOML"),
    ("home = '/'", "'home'"),
)


def test_wrong_settings_are_refused_with_the_key(ready: World) -> None:
    given = {name: value for name, value in ready.environment.items() if name != "TOUCHLINE_BATCH_ROWS"}
    for text, said in WRONG_SETTINGS:
        (ready.home / "touchline.toml").write_text(text, "utf-8")
        done = ready.zygote.run(["campaign", "list"], given, ready.home)
        assert (done.code, done.out) == (78, "")
        assert said in done.err
        assert "Traceback" not in done.err


OTHER_DATABASES = (
    ("mysql://root@localhost/x", "not mysql"),
    ("oracle://x", "not oracle"),
    ("not a url", "cannot be read"),
    ("sqlite://", "in-memory"),
    ("sqlite:///nowhere/x.db", "does not exist"),
)


def test_a_database_of_another_kind_is_refused(sqlite_world: World) -> None:
    before = set(sqlite_world.home.iterdir())
    for url, said in OTHER_DATABASES:
        assert said in refused(sqlite_world, "init", "--yes", code=78, DATABASE_URL=url)
    assert set(sqlite_world.home.iterdir()) == before


def test_a_file_that_is_no_database_is_refused(ready: World) -> None:
    (ready.home / "other.db").write_bytes(b"something else" * 99)
    for argv in (["init", "--yes"], ["campaign", "list"]):
        assert "cannot be used" in refused(ready, *argv, code=75, DATABASE_URL="sqlite:///other.db")


NO_SUPPRESSIONS = (
    (b"", "no rows"),
    (b"PK\x03\x04xl/", "Excel workbook"),
    (bytes(500), "NUL"),
    (b"x" * 2_000_000, "is no list"),
    (b'"' + b"x@firm1.com\n" * 50_000, "is no list"),
)


def test_a_list_of_suppressions_that_is_none_is_refused(ready: World) -> None:
    for content, said in NO_SUPPRESSIONS:
        (ready.home / "odd.csv").write_bytes(content)
        assert said in refused(ready, "suppress", "import", "odd.csv")
    assert ready.run("suppress", "list", "--json").json == []


def test_suppressions_are_read_in_any_encoding_and_bad_ones_named(ready: World) -> None:
    for name, encoding in (("a.csv", "utf-16"), ("b.csv", "cp1252"), ("c.csv", "utf-8-sig")):
        text = f"email,reason\n{name[0]}@firm1.com,möchte nicht\nnonsense,x\n"
        (ready.home / name).write_bytes(text.encode(encoding))
        done = ready.run("suppress", "import", name, "--json").json
        assert (done["new"], len(done["rejected"])) == (1, 1)
    assert {r["reason"] for r in ready.run("suppress", "list", "--json").json} == {"möchte nicht"}
    assert "directory" in refused(ready, "suppress", "import", ".")
    assert "No such file" in refused(ready, "suppress", "import", "nowhere.csv")


def test_one_bad_value_among_typed_ones_suppresses_none_of_them(ready: World) -> None:
    assert "'nonsense'" in refused(ready, "suppress", "add", "a@firm1.com", "nonsense")
    assert ready.run("suppress", "list", "--json").json == []


WRONG_CONDITIONS = (
    *("employees >", "title = 5", "employees = 'x'", "nope = 1", "1 = 1 OR", "(" * 500, "x" * 50_000, "tier = 'a'"),
    *(
        "employees = NULL",
        "has(title, 'x')",
        "lower(title) = 'x'",
        "employees = 99999999999999999999",
    ),
)


def test_a_wrong_condition_is_refused_and_no_file_is_left(ready: World) -> None:
    for where in WRONG_CONDITIONS:
        refused(ready, "leads", "list", "--where", where)
    refused(ready, "leads", "export", "--where", WRONG_CONDITIONS[0], "-o", "out.csv")
    assert not list(ready.home.glob("*out.csv*"))


def test_a_wrong_map_is_refused(ready: World) -> None:
    ready.leads(1)
    for pair, said in (
        ("email", "has no '='"),
        ("emial=Email", "did you mean 'email'?"),
        ("email=Emial", "did you mean 'Email'?"),
        ("email=", "no column ''"),
    ):
        assert said in refused(ready, "import", "leads.csv", "-c", "spring", "--map", pair)
    twice = ("--map", "email=Email", "--map", "ignored=Email")
    assert "both email and ignored" in refused(ready, "import", "leads.csv", "-c", "spring", *twice)
    nothing_kept(ready)


def test_a_formula_leaves_harmless_and_comes_back_unchanged(ready: World) -> None:
    formula = '=HYPERLINK("http://x","y")'
    cells = formula.replace('"', '""')
    (ready.home / "odd.csv").write_text(f'email,company,title\nann0@firm0.com,"{cells}",@SUM(A1)\n', "utf-8")
    ready.run("import", "odd.csv", "-c", "spring")
    out = ready.run("leads", "export").out
    assert "'=HYPERLINK" in out
    assert ",'@SUM(A1)" in out
    (ready.home / "again.csv").write_text(out, "utf-8")
    assert ready.run("import", "again.csv", "-c", "spring", "--json").json["counts"]["duplicate"] == 1
    assert json.loads(ready.run("leads", "list", "--json").out)[0]["title"] == "@SUM(A1)"


def test_a_formula_in_a_suppression_leaves_harmless_and_comes_back_unchanged(ready: World) -> None:
    formula = '=HYPERLINK("http://x","y")'
    ready.run("suppress", "add", "--kind", "account", formula, "--reason", "@SUM(A1)")
    ready.run("suppress", "add", "=cmd@firm1.com", "--reason", "'=x")
    before = ready.run("suppress", "list", "--json").json
    text = ready.run("suppress", "export").out
    assert not [cell for row in csv.reader(text.splitlines()) for cell in row if cell.startswith(tuple("=+-@"))]
    (ready.home / "no.csv").write_text(text, "utf-8")
    elsewhere = {"DATABASE_URL": "sqlite:///elsewhere.db"}
    ready.run("init", "--yes", **elsewhere)
    assert ready.run("suppress", "import", "no.csv", "--json", **elsewhere).json["new"] == 2
    after = ready.run("suppress", "list", "--json", **elsewhere).json
    told = [[(row["kind"], row["value"], row["reason"]) for row in rows] for rows in (before, after)]
    assert told[0] == told[1]
