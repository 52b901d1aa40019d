"""Addresses that do not stand for one person at one company: free mail domains, and mailboxes of a role."""

# Worldwide, then country by country, with what internet providers give to households.
_FREE = """
gmail.com googlemail.com outlook.com hotmail.com live.com msn.com passport.com windowslive.com yahoo.com
ymail.com rocketmail.com aol.com aim.com icloud.com me.com mac.com gmx.com gmx.net mail.com email.com
usa.com consultant.com engineer.com post.com europe.com proton.me protonmail.com protonmail.ch pm.me
tuta.com tuta.io tutamail.com tutanota.com tutanota.de fastmail.com fastmail.fm hey.com zoho.com
zohomail.com zohomail.eu hushmail.com mailfence.com posteo.net duck.com inbox.com lycos.com excite.com
netscape.net pobox.com riseup.net disroot.org runbox.com startmail.com yandex.com onet.eu rediffmail.com
mail.eu

comcast.net verizon.net att.net sbcglobal.net bellsouth.net cox.net charter.net earthlink.net juno.com
optonline.net optimum.net frontier.com windstream.net centurylink.net netzero.net roadrunner.com rr.com

yahoo.ca hotmail.ca live.ca outlook.ca rogers.com shaw.ca telus.net sympatico.ca bell.net videotron.ca

yahoo.com.mx hotmail.com.mx live.com.mx prodigy.net.mx yahoo.com.ar hotmail.com.ar live.com.ar
fibertel.com.ar yahoo.com.br hotmail.com.br outlook.com.br uol.com.br bol.com.br terra.com.br ig.com.br
globo.com r7.com yahoo.cl hotmail.cl live.cl yahoo.com.co yahoo.com.pe hotmail.com.pe

gmx.de web.de t-online.de freenet.de arcor.de posteo.de mailbox.org mail.de email.de online.de
unitybox.de vodafone.de o2online.de alice-dsl.net kabelmail.de yahoo.de hotmail.de live.de outlook.de
aol.de gmx.at aon.at chello.at a1.net liwest.at kabsi.at inode.at utanet.at yahoo.at hotmail.at live.at
outlook.at gmx.ch bluewin.ch hispeed.ch sunrise.ch swissonline.ch hotmail.ch yahoo.ch

orange.fr wanadoo.fr free.fr sfr.fr laposte.net neuf.fr bbox.fr numericable.fr club-internet.fr
aliceadsl.fr yahoo.fr hotmail.fr live.fr outlook.fr gmx.fr aol.fr telenet.be skynet.be proximus.be
scarlet.be yahoo.be hotmail.be live.be outlook.be ziggo.nl kpnmail.nl planet.nl hetnet.nl xs4all.nl
home.nl upcmail.nl casema.nl quicknet.nl zonnet.nl hotmail.nl live.nl outlook.nl yahoo.nl

yahoo.co.uk hotmail.co.uk live.co.uk outlook.co.uk aol.co.uk btinternet.com btopenworld.com ntlworld.com
virginmedia.com virgin.net talktalk.net blueyonder.co.uk sky.com tiscali.co.uk plus.com eircom.net
yahoo.ie hotmail.ie live.ie outlook.ie

libero.it virgilio.it tin.it tiscali.it alice.it tim.it aruba.it email.it poste.it inwind.it iol.it
fastwebnet.it yahoo.it hotmail.it live.it outlook.it yahoo.es hotmail.es live.es outlook.es
telefonica.net ono.com terra.es sapo.pt iol.pt clix.pt netcabo.pt outlook.pt hotmail.pt live.com.pt
yahoo.gr hotmail.gr otenet.gr

wp.pl o2.pl onet.pl interia.pl op.pl poczta.fm poczta.onet.pl tlen.pl gazeta.pl vp.pl interia.eu
seznam.cz email.cz centrum.cz volny.cz atlas.cz post.cz azet.sk centrum.sk zoznam.sk freemail.hu
citromail.hu indamail.hu t-online.hu yahoo.ro abv.bg mail.bg mail.ru bk.ru list.ru inbox.ru internet.ru
yandex.ru ya.ru rambler.ru ukr.net i.ua bigmir.net tut.by inbox.lv

live.dk hotmail.dk yahoo.dk outlook.dk jubii.dk ofir.dk live.se hotmail.se yahoo.se outlook.se telia.com
spray.se bredband.net comhem.se online.no live.no hotmail.no yahoo.no luukku.com kolumbus.fi suomi24.fi
elisanet.fi

yahoo.com.tr hotmail.com.tr mynet.com walla.co.il walla.com yahoo.co.za webmail.co.za mweb.co.za
telkomsa.net

yahoo.in yahoo.co.in rediff.com yahoo.co.id yahoo.com.ph yahoo.com.sg yahoo.com.my yahoo.com.vn
yahoo.co.th qq.com foxmail.com 163.com 126.com yeah.net sina.com sina.cn sohu.com aliyun.com 139.com
189.cn 21cn.com yahoo.com.cn yahoo.com.tw yahoo.com.hk hotmail.com.tw naver.com hanmail.net daum.net
nate.com kakao.com yahoo.co.kr yahoo.co.jp hotmail.co.jp outlook.jp live.jp docomo.ne.jp ezweb.ne.jp
softbank.ne.jp nifty.com

yahoo.com.au hotmail.com.au outlook.com.au live.com.au bigpond.com bigpond.net.au optusnet.com.au
iinet.net.au tpg.com.au internode.on.net xtra.co.nz yahoo.co.nz slingshot.co.nz
"""

# The names of RFC 2142, then what companies print on their sites, in the languages of Europe.
_ROLES = """
info marketing sales support abuse noc security postmaster hostmaster usenet news webmaster www uucp ftp

accounting accounts admin administration advertising all billing board booking bookings careers charity
compliance contact contactus customer.service customercare customerservice customersupport
data-protection dataprotection design devnull dpo editor editorial education engineering enquiries
enquiry events everyone export feedback finance franchise general hello help helpdesk hey hi hr
inquiries inquiry invest investor investors invoice invoices it jobs legal list mail mailer-daemon
maintenance management media members newsletter no-reply no_reply noreply donotreply do-not-reply office
operations ops order orders partner partners payroll pr press privacy procurement production projects
purchase purchasing reception recruiting recruitment register registrar registration remove request
returns root sale sales-team secretary service services shop social spam staff store subscribe sysadmin
team tech test training undisclosed-recipients unsubscribe welcome

anfrage anfragen auftrag bestellung bewerbung bewerbungen buchhaltung buero datenschutz einkauf empfang
geschaeftsfuehrung gf karriere kontakt kundenservice kundendienst personal post poststelle praxis presse
rechnung rechnungen redaktion rezeption sekretariat verkauf vertrieb verwaltung werkstatt zentrale

accueil achat achats bonjour commande commercial compta comptabilite direction facturation recrutement
rh secretariat

administracion amministrazione atencionalcliente ayuda clientes compras comercial contabilidad
contabilita contacto contato contatti facturacion financeiro geral gerencia hola informacion
informazioni ordini pedidos prensa recepcion recursoshumanos reservas segreteria ufficio vendas ventas

bestellingen boekhouding factuur facturen inkoop klantenservice receptie secretariaat verkoop vragen
biuro faktury handlowy kadry kontakty obchod objednavky sekretariat sprzedaz zamowienia bogholderi
ekonomi faktura inkop kundtjanst kundeservice myynti order postmottak regnskab reklamation salg salj
"""

FREE = frozenset(_FREE.split())
"""Anyone can have an address here, so the domain says nothing about a company."""

ROLES = frozenset(_ROLES.split())
"""Parts before the @ that a group reads, or nobody."""
