"""Domains of public mail providers, whose addresses belong to people and not to organizations.

Sources: the domains that the providers' own sign-up and help pages list (Google, Microsoft, Yahoo,
Apple, GMX, WEB.DE, Proton, Fastmail, Zoho, Yandex, Mail.ru, Tencent, NetEase, Naver and others),
checked on 2026-11-30. The packages with such lists mix them with disposable addresses and company
domains, and are rarely updated. To add a provider, add its domains here; a domain under any
country's ending goes into `_EVERYWHERE`.

The list is a second line of defence: nobody can publish a record in these domains anyway, except
their providers. It prevents mistakes, and an operator's override for them.
"""

from typing import Final

_EVERYWHERE: Final = frozenset({"gmx", "googlemail", "hotmail", "outlook", "yahoo", "ymail"})
"""Providers that use one name under many top-level domains, such as yahoo.co.uk."""

_SECOND_LEVELS: Final = frozenset({"ac", "co", "com", "edu", "gov", "net", "or", "org"})
"""The second-level domains of countries, as in co.uk."""

_DOMAINS: Final = frozenset(
    """
    gmail.com live.com live.co.uk live.fr live.de live.it live.nl live.be live.se live.dk live.no
    live.ca live.com.au live.com.mx live.com.pt live.cn live.jp live.in msn.com passport.com
    windowslive.com rocketmail.com myyahoo.com aol.com aol.co.uk aol.de aol.fr aim.com
    icloud.com me.com mac.com privaterelay.appleid.com
    web.de freenet.de t-online.de arcor.de mail.de posteo.de posteo.net mailbox.org
    proton.me protonmail.com protonmail.ch pm.me tutanota.com tutanota.de tuta.com tuta.io
    tutamail.com keemail.me hey.com fastmail.com fastmail.fm hushmail.com startmail.com
    zoho.com zohomail.com zohomail.eu mail.com email.com usa.com inbox.com mailinator.com
    guerrillamail.com 10minutemail.com yopmail.com
    comcast.net verizon.net att.net sbcglobal.net bellsouth.net cox.net charter.net earthlink.net
    juno.com optonline.net shaw.ca rogers.com sympatico.ca btinternet.com virginmedia.com
    talktalk.net ntlworld.com blueyonder.co.uk orange.fr wanadoo.fr free.fr laposte.net sfr.fr
    neuf.fr bbox.fr libero.it virgilio.it tiscali.it tin.it alice.it telefonica.net
    ziggo.nl kpnmail.nl planet.nl home.nl hetnet.nl telenet.be skynet.be bluewin.ch hispeed.ch
    telia.com online.no wp.pl o2.pl onet.pl interia.pl op.pl seznam.cz centrum.cz email.cz
    azet.sk abv.bg ukr.net i.ua freemail.hu citromail.hu mynet.com
    yandex.ru yandex.com yandex.ua yandex.kz yandex.by ya.ru mail.ru bk.ru list.ru inbox.ru
    rambler.ru
    qq.com foxmail.com 163.com 126.com yeah.net 188.com sina.com sina.cn sohu.com aliyun.com
    139.com 189.cn wo.cn tom.com 21cn.com naver.com daum.net hanmail.net nate.com
    docomo.ne.jp ezweb.ne.jp softbank.ne.jp rediffmail.com indiatimes.com
    bigpond.com bigpond.net.au optusnet.com.au xtra.co.nz
    uol.com.br bol.com.br terra.com.br ig.com.br globo.com
    """.split()  # noqa: SIM905 - one string is easier to keep
)


def is_public_mail(domain: str) -> bool:
    """Whether a domain, in lower case, or a domain above it belongs to a public mail provider."""
    labels = domain.split(".")
    return any(_is_provider(labels[start:]) for start in range(len(labels) - 1))


def _is_provider(labels: list[str]) -> bool:
    if ".".join(labels) in _DOMAINS:
        return True
    first, *ending = labels
    # Such as .fr or .co.uk, and not .acme.com: yahoo.acme.com belongs to acme.com.
    is_ending = len(ending) == 1 or (len(ending) == 2 and ending[0] in _SECOND_LEVELS)
    return first in _EVERYWHERE and is_ending
