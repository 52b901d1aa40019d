"""Seniority and field of work from job titles, by tables of words in seven languages."""

import re
import unicodedata
from functools import lru_cache

import polars as pl

from touchline.stages.normalise.text import each, either, phrases

SENIORITY = {
    "founder": """
        founder, cofounder, co founder, founding partner, owner, business owner, proprietor, solopreneur, entrepreneur,
        grunder, gruender, grunderin, mitgrunder, mitgrunderin, inhaber, inhaberin, fondateur, fondatrice, cofondateur,
        cofondatrice, fundador, fundadora, cofundador, cofundadora, propietario, propietaria, proprietario, proprietaria,
        dueno, duena, fondatore, cofondatore, titolare, oprichter, oprichtster, medeoprichter, eigenaar, eigenaresse,
        socio fundador, socia fundadora, socio, socia, self employed, freelancer, freelance, entrepreneuse""",
    "c_level": """
        ceo, cto, cfo, coo, cmo, cio, ciso, cpo, cro, chro, cdo, cso, cco, cao, clo, cxo, chief, c level, c suite,
        managing director, managing partner, general partner, executive director, president, partner, chairman,
        chairwoman, chairperson, presidente, prasident, prasidentin, geschaftsfuhrer, geschaftsfuhrerin,
        geschaeftsfuehrer, geschaeftsfuehrerin, geschaftsfuhrung, geschaftsleitung, geschaftsleiter, geschaftsleiterin,
        vorstand, vorstandin, vorstandsvorsitzender, vorstandsvorsitzende, pdg, dg, directeur general,
        directrice generale, gerant, gerante, director general, directora general, consejero delegado,
        consejera delegada, director ejecutivo, directora ejecutiva, amministratore delegato, amministratrice delegata,
        direttore generale, direttrice generale, diretor geral, diretora geral, diretor executivo, diretora executiva,
        algemeen directeur, bestuurder, bestuursvoorzitter""",
    "vp": """
        vice president, vice presidente, vice prasident, vizeprasident, vizeprasidentin, vp, svp, evp, avp, rvp,
        vicepresident, vicepresidente, vice presidente""",
    "head": """
        head, chief of staff, chief engineer, chief accountant, leiter, leiterin, leitung, abteilungsleiter,
        abteilungsleiterin, bereichsleiter, bereichsleiterin, hoofd, prokurist, prokuristin, afdelingshoofd""",
    "director": """
        director, directora, direktor, direktorin, directeur, directrice, direttore, direttrice, diretor, diretora, dir""",
    "manager": """
        manager, managerin, mgr, teamleiter, teamleiterin, projektleiter, projektleiterin, filialleiter, filialleiterin,
        gruppenleiter, gruppenleiterin, team lead, teamlead, team leader, supervisor, superintendent, responsable,
        responsabile, responsavel, verantwoordelijke, chef, cheffe, chefe, jefe, jefa, gerente, capo, gestore,
        coordinator, koordinator, koordinatorin, coordinador, coordinadora, coordinatore, coordinatrice, coordenador,
        coordenadora, coordinateur, encargado, encargada, beheerder, teamleider, foreman""",
    "senior": """
        senior, sr, lead, principal, staff engineer, mid senior, expert, experte, expertin, architect, architekt,
        architektin, architecte, arquitecto, arquitecta, architetto, arquiteto, distinguished, fellow, business partner,
        confirme, experimente""",
    "staff": """
        staff, junior, jr, intern, internship, trainee, working student, praktikant, praktikantin, werkstudent,
        werkstudentin, azubi, stagiaire, becario, becaria, tirocinante, estagiario, estagiaria, entry, entry level,
        mid level, associate, analyst, assistant, assistent, assistentin, asistente, assistente, executive assistant,
        personal assistant, consultant, berater, beraterin, consultor, consultora, consulente, conseiller, specialist,
        spezialist, spezialistin, especialista, specialista, clerk, representative, rep, agent, sachbearbeiter,
        sachbearbeiterin, mitarbeiter, mitarbeiterin, medewerker, employee, individual contributor, technician,
        administrator, advisor, adviser, officer, teacher, nurse, account executive, sales executive, product owner,
        marketing executive, hr executive, scrum master, referent, referentin, non manager""",
}
"""Words of each rank, highest first; the highest that a title has is its rank."""

BESIDE = re.compile(
    r"\b(?:assistant|assistent|assistentin|assistenz|asistente|assistente|office)(?: \w+)? (?:to|of|de[rs]?|du|di)\b"
)
"""Whom someone works for says nothing about their own rank."""

ROLE = {
    "marketing": """
        marketing, product marketing, cmo, seo, sem, growth, brand, content, communications, communication, kommunikation,
        comunicacion, comunicazione, comunicacao, communicatie, pr, public relations, social media, demand generation,
        demand gen, lead generation, event, events, advertising, mercadotecnia, campaign, werbung""",
    "design": """
        design, designer, designerin, product designer, product design, ux, ui, creative, art, grafik, grafiker, grafikerin,
        graphic, gestalter, gestalterin, user experience, graphiste, diseno, disenador, disenadora, ontwerper, vormgever,
        progettista grafico""",
    "product": """
        product, produkt, produit, producto, prodotto, produto, cpo, product manager, product owner, productmanager,
        produktmanager, produktmanagerin, produktmanagement, chef de produit""",
    "data": """
        data, analytics, business intelligence, bi, machine learning, ml, ai, ki, artificial intelligence, data scientist,
        datenanalyst, daten, donnees, datos, dati, dados, cdo, statistician""",
    "sales": """
        sales, account executive, account manager, key account, business development, bizdev, bdr, sdr, cro, revenue,
        vertrieb, verkauf, verkaufer, verkauferin, commercial, commerciale, comercial, ventas, vendas, vendite, verkoop,
        vente, ventes, venditore, vendedor, vendeur, verkoper, partnerships, partnership, presales, cco""",
    "hr": """
        hr, hrbp, human resources, human resource, people, talent, recruiting, recruiter, recruitment, chro, personal,
        personalabteilung, personalwesen, personnel, rh, recursos humanos, ressources humaines, risorse umane,
        recursos humanos, personeelszaken, culture, payroll, talent acquisition, people operations""",
    "support": """
        support, csm, customer success, customer service, customer support, customer care, customer experience,
        kundenservice, kundenbetreuung, kundendienst, service client, support client, atencion al cliente,
        servicio al cliente, assistenza clienti, suporte, klantenservice, helpdesk, help desk, service desk,
        technical support""",
    "legal": """
        legal, lawyer, attorney, counsel, general counsel, compliance, clo, recht, rechtsanwalt, rechtsanwaltin, jurist,
        juristin, juridique, juriste, avocat, avocate, abogado, abogada, legale, avvocato, juridico, advogado, advogada,
        juridisch, paralegal, privacy, datenschutz, data protection, dpo, notar""",
    "finance": """
        finance, financial, cfo, controller, controllerin, controlling, accounting, accountant, treasury, treasurer, tax,
        audit, auditor, finanzen, finanz, buchhaltung, buchhalter, buchhalterin, rechnungswesen, comptable, comptabilite,
        financier, financiere, finances, finanzas, contabilidad, contable, contador, finanza, amministrazione, contabilita,
        financeiro, contabilidade, financien, boekhouder, bookkeeper, investor relations, fp a""",
    "it": """
        it, ict, edv, information technology, information officer, information systems, information security, cio, ciso,
        system administrator, systems administrator, sysadmin, systemadministrator, network, netzwerk, infrastructure,
        cybersecurity, cyber security, security, informatique, sistemas, sistemi, sistemi informativi, informatica,
        informationstechnik, database administrator, dba""",
    "engineering": """
        engineering, engineer, developer, development, software, cto, technology, technical, programmer, devops, sre, qa,
        quality assurance, test, tester, architect, architekt, entwicklung, entwickler, entwicklerin, ingenieur, ingenieurin,
        ingenieure, ingenieria, ingeniero, ingeniera, ingegnere, ingegneria, engenharia, engenheiro, engenheira,
        developpement, developpeur, developpeuse, desarrollo, desarrollador, desarrolladora, sviluppo, sviluppatore,
        desenvolvimento, desenvolvedor, desenvolvedora, ontwikkelaar, ontwikkeling, technik, technique, technologie,
        tecnologia, tecnico, techniker, technikerin, technicien, research, forschung, r d, frontend, backend, front end,
        back end, full stack, fullstack, platform, cloud, hardware, web, mobile, programmierer, programador, scrum master""",
    "operations": """
        operations, operation, operating, coo, ops, logistics, logistik, logistique, logistica, supply chain, procurement,
        purchasing, purchase, buyer, einkauf, einkaufer, einkauferin, achats, achat, acheteur, compras, acquisti, inkoop,
        production, produktion, produccion, produzione, producao, manufacturing, plant, facility, facilities, project,
        projekt, projet, proyecto, progetto, projeto, projektleiter, projektleiterin, program, programme, quality, qualitat,
        warehouse, lager, betrieb, operaciones, operazioni, operacoes, process, office, executive assistant,
        personal assistant, chief of staff""",
    "general": """
        general, ceo, chief executive, executive, founder, cofounder, owner, managing director, general manager,
        general management, management, president, geschaftsfuhrer, geschaftsfuhrerin, geschaeftsfuehrer,
        geschaeftsfuehrerin, geschaftsfuhrung, geschaftsleitung, inhaber, inhaberin, grunder, gruender, grunderin, vorstand,
        pdg, directeur general, directrice generale, gerant, gerante, director general, directora general,
        consejero delegado, consejera delegada, amministratore delegato, direttore generale, diretor geral,
        algemeen directeur, bestuurder, eigenaar, oprichter, fondateur, fondatrice, fundador, fundadora, fondatore,
        titolare, presidente, chairman, managing partner, partner, administration, strategy, entrepreneur, proprietor,
        propietario, proprietario, socio, self employed, freelancer, personal trainer""",
}
"""Words of each field, special ones first; the first that a title has is its field."""

COMPOUNDS = (
    ("head", "seniority", r"(?:leiter|leiterin|leitung|chef|chefin|hoofd)$"),
    ("director", "seniority", r"(?:direktor|direktorin|directeur)$"),
    ("manager", "seniority", r"manager(?:in)?$"),
    ("sales", "role", r"^(?:vertriebs|verkaufs|verkoop)"),
    ("marketing", "role", r"^(?:marketing|kommunikations|werbe)"),
    ("hr", "role", r"^(?:personal|recruiting)"),
    ("finance", "role", r"^(?:finanz|buchhalt|steuer)"),
    ("it", "role", r"^(?:netzwerk|system|datenbank)"),
    ("support", "role", r"^kunden"),
    ("legal", "role", r"^rechts"),
    ("product", "role", r"^produkt(?!ion)"),
    ("operations", "role", r"^(?:einkaufs|logistik|produktions|projekt|betriebs|werks|qualitats)"),
    ("engineering", "role", r"^(?:software|entwicklungs|technik)|(?:entwickler|ingenieur|techniker)(?:in)?$"),
)
"""German and Dutch write some titles as one word: Vertriebsleiterin, Softwareentwickler."""


def _phrases(table: dict[str, str]) -> dict[str, list[tuple[list[str], int]]]:
    """Phrases, longest first, with the place of their code in the table, by their first word."""
    found: dict[str, list[tuple[list[str], int]]] = {}
    for place, many in enumerate(table.values()):
        for phrase in phrases(many):
            first, *rest = phrase.split(" ")
            found.setdefault(first, []).append(([first, *rest], place))
    return {first: sorted(many, key=lambda item: -len(item[0])) for first, many in found.items()}


TABLES = {"seniority": (list(SENIORITY), _phrases(SENIORITY)), "role": (list(ROLE), _phrases(ROLE))}
PATTERNS = {
    axis: [(re.compile(pattern), TABLES[axis][0].index(code)) for code, kind, pattern in COMPOUNDS if kind == axis]
    for axis in TABLES
}


def seniority(given: pl.Series, title: pl.Series) -> pl.Series:
    """Codes of seniority from what is given, else from the title.

    A title with a known field and no word of rank is `staff`; a title of unknown words stays null.
    """
    return either(
        each(given, lambda text: _read(text)[0]), each(title, lambda text: _read(text)[0] or _plain_rank(text))
    )


def role(given: pl.Series, title: pl.Series) -> pl.Series:
    """Codes of the field of work from what is given, else from the title; null where all words are unknown."""
    return either(each(given, lambda text: _read(text)[1]), each(title, lambda text: _read(text)[1]))


def _plain_rank(text: str) -> str | None:
    return "staff" if _read(text)[1] else None


@lru_cache(maxsize=100_000)
def _read(text: str) -> tuple[str | None, str | None]:
    """Seniority and role of one title."""
    letters = unicodedata.normalize("NFKD", text.casefold().replace(".", ""))
    plain = letters if letters.isascii() else "".join(c for c in letters if not unicodedata.combining(c))
    words = re.findall(r"[^\W_]+", plain)[:30]
    rank = _best("seniority", words)
    if rank is not None and BESIDE.search(" ".join(words)):
        rank = "staff"
    return rank, _best("role", words)


def _best(axis: str, words: list[str]) -> str | None:
    """The first code of the table among the phrases of the title; long phrases take their words from shorter ones."""
    codes, table = TABLES[axis]
    best, at = len(codes), 0
    while at < len(words):
        size, place = 1, len(codes)
        for phrase, found in table.get(words[at], ()):
            if words[at : at + len(phrase)] == phrase:
                size, place = len(phrase), found
                break
        else:
            place = _compound(axis, words[at], place)
        best, at = min(best, place), at + size
    return codes[best] if best < len(codes) else None


def _compound(axis: str, word: str, otherwise: int) -> int:
    if len(word) < 8:
        return otherwise
    return next((place for pattern, place in PATTERNS[axis] if pattern.search(word)), otherwise)
