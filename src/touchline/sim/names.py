"""Given names, family names and job titles of the seeded market, by culture and language."""

import unicodedata
from typing import NamedTuple


class Name(NamedTuple):
    """One name as people write it, and as it stands in an address."""

    written: str
    plain: str


class Culture(NamedTuple):
    """Names that go together, and the language of its job titles."""

    language: str
    given: tuple[Name, ...]
    family: tuple[Name, ...]


# What NFKD does not take apart. Germans write umlauts as two letters in addresses.
_LETTERS = str.maketrans({"ß": "ss", "ø": "o", "Ø": "o", "ł": "l", "Ł": "l", "æ": "ae", "Æ": "ae"})
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "Ä": "ae", "Ö": "oe", "Ü": "ue"})


def plain(text: str, *, umlauts: bool = False) -> str:
    """A name as the local part of an address: lower-case ASCII letters and hyphens.

    Args:
        text: The name as written, in Latin letters.
        umlauts: True writes ä as ae, False as a.
    """
    spelt = text.translate(_UMLAUTS) if umlauts else text
    letters = unicodedata.normalize("NFKD", spelt.translate(_LETTERS)).lower()
    return "".join(c for c in letters if "a" <= c <= "z" or c == "-")


def _culture(language: str, given: str, family: str) -> Culture:
    """Tables from comma-separated names; `written/plain` where the script is not Latin."""

    def names(listed: str) -> tuple[Name, ...]:
        found = []
        for entry in listed.split(","):
            written, _, latin = entry.strip().partition("/")
            found.append(Name(written, latin or plain(written, umlauts=language == "de")))
        return tuple(found)

    return Culture(language, names(given), names(family))


CULTURES: dict[str, Culture] = {
    "german": _culture(
        "de",
        "Anna, Lukas, Jürgen, Sabine, Björn, Katharina, Matthias, Heike, Tobias, Käthe, Florian, Ulrike, Stefan, "
        "Birgit, Sören, Claudia, Andreas, Monika, Karl-Heinz, Lena, Felix, Marlene, Jörg, Susanne, Maximilian, "
        "Franziska, Thomas, Petra, Jonas, Gudrun, Dominik, Verena, Rüdiger, Nadine, Wolfgang, Elif",
        "Müller, Schmidt, Schneider, Fischer, Weber, Meyer, Wagner, Becker, Schulz, Hoffmann, Schäfer, Koch, Bauer, "
        "Richter, Klein, Wolf, Schröder, Neumann, Schwarz, Zimmermann, Braun, Krüger, Hofmann, Hartmann, Lange, "
        "Krause, Weiß, Köhler, Groß, Jäger, von Arnim, Müller-Brandt, Şahin, Öztürk, Strauß, Pfeiffer",
    ),
    "french": _culture(
        "fr",
        "Camille, Jean-Pierre, Chloé, Julien, Élodie, Mathieu, Hélène, Antoine, Aurélie, François, Margaux, Jérôme, "
        "Océane, Étienne, Sophie, Théo, Inès, Benoît, Amélie, Rémi, Noémie, Guillaume, Léa, Cédric, Anaïs, Olivier, "
        "Maëlle, Sébastien, Fatou, Clément, Agnès, Raphaël, Zoé, Gaël, Solène, Karim",
        "Martin, Bernard, Dubois, Durand, Moreau, Lefèvre, Leroy, Roux, Fournier, Girard, Bonnet, Lambert, Rousseau, "
        "Blanc, Guérin, Boyer, Garnier, Chevalier, François, Legrand, Gauthier, Perrin, Robin, Clément, Morin, "
        "Nguyen, Mathieu, Roussel, Duval, Colin, d'Aubigny, Le Goff, Barbier, Arnaud, Benali, Traoré",
    ),
    "english": _culture(
        "en",
        "Oliver, Emily, Harry, Charlotte, George, Amelia, Jack, Sophie, Siobhán, Callum, Imogen, Rhys, Freya, Declan, "
        "Poppy, Alistair, Niamh, Gareth, Eleanor, Ewan, Aisha, Connor, Beatrice, Hamish, Priya, Toby, Saoirse, "
        "Duncan, Harriet, Kieran, Millie, Rory, Zara, Elliot, Georgina, Seán",
        "Smith, Jones, Taylor, Brown, Williams, Wilson, Johnson, Davies, Robinson, Wright, Thompson, Evans, Walker, "
        "White, Roberts, Green, Hall, Wood, Jackson, Clarke, O'Brien, MacDonald, Fitzgerald, Hughes, Ó Dálaigh, "
        "Patel, Khan, Murphy, Kelly, Byrne, Campbell, Ashworth-Lyle, Begum, Barker, Holloway, Penrose",
    ),
    "american": _culture(
        "en",
        "Michael, Jennifer, David, Ashley, Tyrone, Megan, Brandon, Stephanie, Carlos, Mei, Kevin, Latoya, Justin, "
        "Kimberly, José, Rebecca, Aaron, Guadalupe, Eric, Heather, Raj, Brittany, Kyle, Shaniqua, Tyler, Maria, "
        "Derek, Melissa, Hiroshi, Courtney, Wei, Lauren, Marcus, Danielle, Robert, Beyza",
        "Miller, Davis, García, Rodriguez, Martínez, Hernandez, Anderson, Moore, Nguyen, Lee, Thompson, Harris, "
        "Clark, Lewis, Young, King, Scott, Torres, Hill, Flores, Adams, Nelson, Baker, Rivera, Mitchell, Carter, "
        "Washington, Chen, Cohen, Van Buren, O'Connor, Kowalski, Sanders, Park, Goldberg, Jefferson",
    ),
    "dutch": _culture(
        "nl",
        "Daan, Sanne, Jeroen, Femke, Bram, Lotte, Sander, Anouk, Thijs, Maaike, Pieter, Marloes, Willem, Fleur, "
        "Joost, Renée, Ruben, Lieke, Maarten, Noor, Koen, Ilse, Niels, Esmée, Gijs, Marieke, Floris, Loïs, Stijn, "
        "Hanneke, Youssef, Jip, Wouter, Saskia, Tijmen, Zoë",
        "de Jong, Jansen, de Vries, van den Berg, Bakker, van Dijk, Visser, Smit, Meijer, de Boer, Mulder, de Groot, "
        "Bos, Vos, Peters, Hendriks, van Leeuwen, Dekker, Brouwer, de Wit, Dijkstra, Smits, de Graaf, van der Meer, "
        "Kok, Jacobs, de Haan, Vermeulen, van den Heuvel, van der Veen, Schouten, El Amrani, Willems, Post, Kuiper, "
        "van 't Hof",
    ),
    "swedish": _culture(
        "sv",
        "Erik, Astrid, Björn, Linnéa, Gustav, Åsa, Oskar, Ingrid, Håkan, Malin, Axel, Ebba, Nils, Sofia, Göran, Elsa, "
        "Anders, Karin, Jörgen, Maja, Viktor, Annika, Magnus, Frida, Måns, Britt-Marie, Emil, Hanna, Sven, Tuva, "
        "Ludvig, Petra, Pär, Alva, Fredrik, Sigrid",
        "Andersson, Johansson, Karlsson, Nilsson, Eriksson, Larsson, Olsson, Persson, Svensson, Gustafsson, "
        "Pettersson, Jonsson, Jansson, Hansson, Bengtsson, Nyström, Lindberg, Jakobsson, Magnusson, Lindström, "
        "Olofsson, Lindqvist, Lindgren, Berg, Axelsson, Bergström, Lundberg, Lund, Lundgren, Mattsson, Berglund, "
        "Fredriksson, Sandberg, Åkesson, Öberg, Sjögren",
    ),
    "danish": _culture(
        "da",
        "Søren, Mette, Rasmus, Freja, Jørgen, Kirsten, Mads, Ida, Anders, Signe, Bjørn, Lærke, Henrik, Karen, Jens, "
        "Maren, Kasper, Birgitte, Lars, Asta, Magnus, Dorthe, Thøger, Line, Frederik, Gitte, Esben, Sofie, Troels, "
        "Camilla, Åge, Ditte, Mikkel, Rikke, Nikolaj, Tove",
        "Nielsen, Jensen, Hansen, Pedersen, Andersen, Christensen, Larsen, Sørensen, Rasmussen, Jørgensen, Petersen, "
        "Madsen, Kristensen, Olsen, Thomsen, Christiansen, Poulsen, Johansen, Møller, Mortensen, Knudsen, Kjær, "
        "Østergaard, Nørgaard, Holm, Bruun, Friis, Skov, Lund, Dahl, Vestergaard, Krogh, Bæk, Toft, Winther, Ravn",
    ),
    "spanish": _culture(
        "es",
        "María José, Alejandro, Lucía, Javier, Carmen, Íñigo, Sofía, Andrés, Pilar, Álvaro, Inés, Raúl, Ángela, "
        "Sergio, Nuria, Iván, Begoña, Jesús, Montserrat, Rubén, Leticia, Gonzalo, Rocío, Óscar, Marta, Joaquín, "
        "Ainhoa, Martín, Concepción, Jordi, Verónica, Nicolás, Ximena, Héctor, Beatriz, Tomás",
        "García Pérez, Fernández, González, López, Martínez, Sánchez, Rodríguez, Gómez, Ruiz, Hernández, Díaz, "
        "Moreno, Muñoz, Álvarez, Jiménez, Romero, Navarro, Torres, Domínguez, Vázquez, Ramos, Gil, Serrano, Blanco, "
        "Molina, Suárez, Ortega, Delgado, Castro, Ortiz, Rubio, Núñez, Iglesias, de la Fuente, Peña, Etxeberria",
    ),
    "italian": _culture(
        "it",
        "Giulia, Lorenzo, Francesca, Matteo, Chiara, Nicolò, Martina, Alessandro, Elisa, Davide, Beatrice, Riccardo, "
        "Sara, Gianluca, Federica, Andrea, Ilaria, Giuseppe, Valentina, Stefano, Silvia, Tommaso, Paola, Edoardo, "
        "Caterina, Fabio, Noemi, Vincenzo, Ludovica, Salvatore, Irene, Pietro, Annamaria, Luca, Ginevra, Michele",
        "Rossi, Russo, Ferrari, Esposito, Bianchi, Romano, Colombo, Ricci, Marino, Greco, Bruno, Gallo, Conti, "
        "De Luca, Mancini, Costa, Giordano, Rizzo, Lombardi, Moretti, Barbieri, Fontana, Santoro, Mariani, Rinaldi, "
        "Caruso, Ferrara, Galli, Martini, Leone, Longo, Gentile, Dell'Acqua, Vitale, D'Angelo, Niccolò",
    ),
    "polish": _culture(
        "pl",
        "Agnieszka, Krzysztof, Małgorzata, Paweł, Joanna, Łukasz, Katarzyna, Michał, Magdalena, Grzegorz, Żaneta, "
        "Tomasz, Ewa, Marcin, Bożena, Jakub, Zofia, Wojciech, Aleksandra, Rafał, Beata, Sławomir, Dorota, Przemysław, "
        "Natalia, Zbigniew, Iwona, Mateusz, Jadwiga, Piotr, Kinga, Bartłomiej, Wanda, Szymon, Weronika, Stanisław",
        "Nowak, Kowalski, Wiśniewska, Wójcik, Kowalczyk, Kamińska, Lewandowski, Zielińska, Szymański, Woźniak, "
        "Dąbrowska, Kozłowski, Jankowska, Mazur, Kwiatkowska, Krawczyk, Piotrowski, Grabowska, Pawłowski, Michalska, "
        "Król, Wieczorek, Jabłońska, Wróbel, Nowakowski, Majewska, Olszewski, Stępień, Malinowska, Jaworski, Adamczyk, "
        "Dudek, Górska, Pawlak, Witkowski, Żurek",
    ),
    "portuguese": _culture(
        "pt",
        "João, Ana Clara, Thiago, Letícia, Rafael, Conceição, Felipe, Júlia, Vinícius, Camila, Antônio, Fernanda, "
        "Luís, Patrícia, Caio, Larissa, Márcio, Débora, Eduardo, Mônica, Gabriel, Luísa, Renato, Íris, Rodrigo, "
        "Beatriz, Otávio, Vitória, Leandro, Cláudia, César, Natália, Sebastião, Marina, Tiago, Aline",
        "da Silva, dos Santos, Oliveira, Souza, Lima, Pereira, Ferreira, Alves, Ribeiro, Carvalho, Gomes, Araújo, "
        "Melo, Barbosa, Cardoso, Rocha, Dias, Nascimento, Moreira, Freitas, Gonçalves, Fernandes, Vieira, Monteiro, "
        "Mendes, Batista, Teixeira, Correia, Nogueira, Assunção, Magalhães, Queirós, Simões, Leitão, Brandão, Paixão",
    ),
    "japanese": _culture(
        "ja",
        "Haruto, Yui, Takashi, 美咲/misaki, Kenji, Sakura, 健太/kenta, Aiko, Daisuke, 陽子/yoko, Ren, Naomi, 翔/sho, Emi, "
        "Yūta, Kaori, Hiroyuki, 真理/mari, Satoshi, Rina, Ryō, 恵/megumi, Shinji, Ayumi, Kōji, 直子/naoko, Makoto, "
        "Tomoko, 大輔/daiki, Keiko, Sōta, Hana, 誠一/seiichi, Chie, Noboru, Mio",
        "Satō, Suzuki, Takahashi, 田中/tanaka, Watanabe, Itō, 山本/yamamoto, Nakamura, Kobayashi, Katō, 吉田/yoshida, "
        "Yamada, Sasaki, 松本/matsumoto, Inoue, Kimura, Hayashi, 清水/shimizu, Saitō, Mori, Ikeda, 橋本/hashimoto, "
        "Abe, Ishikawa, 山崎/yamazaki, Maeda, Fujita, 小川/ogawa, Okada, Gotō, Hasegawa, 村上/murakami, Kondō, Ishii, "
        "Endō, Aoki",
    ),
    "indian": _culture(
        "en",
        "Aarav, Ananya, Rohan, Deepika, Vikram, Sneha, Arjun, Kavya, Sanjay, Meera, Rahul, Pooja, Karthik, Lakshmi, "
        "Amit, Divya, Suresh, Nisha, Harpreet, Fatima, Manish, Shreya, Naveen, Swati, Imran, Ritu, Ganesh, Aditi, "
        "Prakash, Jaya, Nikhil, Sunita, Venkatesh, Isha, Siddharth, Gurleen",
        "Sharma, Patel, Singh, Kumar, Gupta, Reddy, Iyer, Nair, Mehta, Joshi, Rao, Desai, Chatterjee, Banerjee, Kaur, "
        "Agarwal, Verma, Mishra, Pillai, Bhat, Kulkarni, Menon, Das, Ghosh, Chopra, Malhotra, Kapoor, Saxena, Shah, "
        "Trivedi, Naidu, Fernandes, Khan, Bose, Sethi, Krishnamurthy",
    ),
}

TITLES: dict[str, tuple[str, ...]] = {
    language: tuple(title.strip() for title in listed.split("|"))
    for language, listed in {
        "en": "CEO | Founder | Co-Founder & CEO | Co-founder | Owner | Managing Director | CTO | Chief Technology Officer | "
        "CFO | Chief Financial Officer | COO | CMO | Chief Information Officer | CISO | VP Engineering | VP of Engineering | "
        "Vice President, Infrastructure | SVP Finance | VP Sales | VP Marketing | Head of Engineering | Head of Platform | "
        "Head of Data | Head of Growth | Head of Finance | Head of Procurement | Director of IT | Director, Product Management | "
        "Engineering Director | Finance Director | Director of Operations | Engineering Manager | Platform Engineering Manager | "
        "IT Manager | Product Manager | Senior Product Manager | Marketing Manager | Sales Manager | HR Manager | "
        "Office Manager | FP&A Manager | Procurement Lead | Staff Engineer | Senior Software Engineer | "
        "Sr. DevOps Engineer | Site Reliability Engineer | Cloud Architect | Principal Architect | Data Analyst | "
        "Software Engineer | Account Executive | Controller | Financial Analyst | Customer Success Manager | "
        "Recruiter | Consultant | Student | Engineering Intern",
        "de": "Geschäftsführer | Geschäftsführerin | Gründer & CEO | Gründerin | Inhaber | Technischer Leiter | "
        "Kaufmännische Leiterin | Leiter IT | Leiterin IT-Infrastruktur | Leiter Finanzen | Leiterin Marketing | "
        "Bereichsleiter Vertrieb | Abteilungsleiter Einkauf | Teamleiterin Softwareentwicklung | Vertriebsleiter | "
        "IT-Leiter | Produktmanagerin | Projektleiter | Softwareentwickler | Senior Softwareentwicklerin | Systemadministrator | "
        "Controllerin | Sachbearbeiterin Buchhaltung | Personalreferent | Werkstudent",
        "fr": "Président-directeur général | PDG | Fondatrice | Cofondateur | Directeur général | Directrice technique | "
        "Directeur des systèmes d'information | DSI | Directrice financière | DAF | Directeur marketing | "
        "Responsable informatique | Responsable infrastructure | Responsable achats | Responsable commerciale | "
        "Chef de projet | Chef de produit | Ingénieur logiciel | Développeuse senior | Architecte cloud | "
        "Contrôleur de gestion | Chargée de recrutement | Stagiaire",
        "nl": "Algemeen directeur | Oprichter | Mede-oprichter | Technisch directeur | Financieel directeur | Hoofd IT | "
        "Hoofd Techniek | Hoofd Inkoop | IT-manager | Manager Operations | Verkoopleider | Productmanager | "
        "Softwareontwikkelaar | Senior ontwikkelaar | Systeembeheerder | Controller | Stagiair",
        "sv": "VD | Grundare | Medgrundare | Teknisk chef | IT-chef | Ekonomichef | Utvecklingschef | Försäljningschef | "
        "Marknadschef | Inköpschef | Produktchef | Systemutvecklare | Senior systemutvecklare | Driftansvarig | "
        "Projektledare | Praktikant",
        "da": "Administrerende direktør | Stifter | Medstifter | Teknisk direktør | Økonomidirektør | IT-chef | "
        "Udviklingschef | Salgschef | Marketingchef | Indkøbschef | Produktchef | Softwareudvikler | Seniorudvikler | "
        "Driftsansvarlig | Projektleder | Studentermedhjælper",
        "es": "Director general | Directora general | Fundador | Cofundadora | Consejero delegado | Director técnico | "
        "Directora de tecnología | Director financiero | Directora de marketing | Gerente de TI | Gerente de ventas | "
        "Jefe de infraestructura | Jefa de compras | Responsable de operaciones | Responsable de sistemas | "
        "Ingeniero de software | Desarrolladora senior | Arquitecto cloud | Analista de datos | Becario",
        "it": "Amministratore delegato | Fondatore | Cofondatrice | Direttore generale | Direttore tecnico | "
        "Direttrice finanziaria | Direttore IT | Responsabile IT | Responsabile infrastrutture | Responsabile marketing | "
        "Responsabile acquisti | Direttore commerciale | Sviluppatrice software | Sviluppatore senior | Sistemista | "
        "Impiegata amministrativa | Stagista",
        "pl": "Prezes zarządu | Założyciel | Współzałożycielka | Dyrektor zarządzający | Dyrektor techniczny | Dyrektor IT | "
        "Dyrektor finansowy | Kierownik IT | Kierownik działu zakupów | Kierownik sprzedaży | Menedżer produktu | "
        "Główna księgowa | Programista | Starszy programista | Administrator systemów | Specjalistka ds. HR | Stażystka",
        "pt": "Diretor executivo | Fundador | Sócia fundadora | Diretora de tecnologia | Diretor financeiro | "
        "Diretora de operações | Gerente de TI | Gerente de infraestrutura | Gerente de produto | Gerente comercial | "
        "Coordenadora de compras | Coordenador de TI | Engenheira de software | Desenvolvedor sênior | Analista de sistemas | "
        "Estagiário",
        "ja": "代表取締役社長 | CTO | 取締役 CFO | 情報システム部長 | 開発部長 | 営業部長 | マーケティングマネージャー | "
        "Director, Engineering | Senior Manager, IT | エンジニア | インフラエンジニア | 購買課長 | インターン",
    }.items()
}
"""Job titles by ISO 639-1 code; English ones are used everywhere, as exports have them."""
