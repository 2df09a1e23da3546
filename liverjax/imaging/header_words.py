"""Free text of headers reduced to known words, so that no name can hide in it.

Any text field of a header may hold a patient's name, an id or a date. What leaves the
import is therefore built from the words below alone; everything else becomes ``*``.
"""

from __future__ import annotations

import re
import unicodedata

_VENDORS = {
    "siemens": "Siemens",
    "ge": "GE",
    "general electric": "GE",
    "philips": "Philips",
    "canon": "Canon",
    "toshiba": "Toshiba",
    "hitachi": "Hitachi",
    "fujifilm": "Fujifilm",
    "shimadzu": "Shimadzu",
    "uih": "United Imaging",
    "united imaging": "United Imaging",
    "neusoft": "Neusoft",
    "samsung": "Samsung",
    "imatron": "Imatron",
    "picker": "Picker",
    "elscint": "Elscint",
    "marconi": "Marconi",
    "bruker": "Bruker",
    "esaote": "Esaote",
}
# Families and additions that vendors put into model names.
_MODELS = frozenset(
    re.findall(
        r"\S+",
        """
    access achieva activion aera airis alexion all alpha altea ambition amira apex
    aquilion architect artist as asteion avanto balance big biograph bore bright
    brightspeed brilliance centurian cite confidence core creator ct cx definition
    discovery drive echelon eclos edge elan elition emotion epoch espree essenza evo
    exceed excite explorer fit flash force frontier galan gemini genesis glory go
    harmony hd hdx hdxt highspeed hispeed horizon ict incisive ingenia ingenuity
    insight intera iqon light lightning lightspeed lumina magnetom maxima mct mr
    multiva mx naeotom neuviz now oasis one optima orian panorama peak perspective
    pet phantom pioneer plus precedence premier presto prime prism prisma pro
    prospeed pulse revolution rxl scanner scenaria scintcare scope sensation signa
    skyra sola somatom spectral speed spirit supria symphony system sytec terra
    titan tomography top trio uct ultra umi umr up vantage vct verio vida vision
    volume voyager zoom
    """,
    )
)
_KERNELS = frozenset(
    re.findall(
        r"\S+",
        """
    admire asir body bone boneplus brain chest deep detail edge fbp fidelity idose
    idr iterative lung medium safire sharp smooth soft softtissue standard std stnd
    tissue true veo ya yb yc yd
    """,
    )
)
_SHARP_WORDS = ("bone", "lung", "edge", "sharp", "boneplus", "chest")
_AGENTS = (
    ("iopromid", "iopromide"),
    ("ultravist", "iopromide"),
    ("iohexol", "iohexol"),
    ("omnipa", "iohexol"),
    ("omni", "iohexol"),
    ("iomeprol", "iomeprol"),
    ("imeron", "iomeprol"),
    ("iomeron", "iomeprol"),
    ("iopamid", "iopamidol"),
    ("isovue", "iopamidol"),
    ("solutrast", "iopamidol"),
    ("iodixanol", "iodixanol"),
    ("visipa", "iodixanol"),
    ("ioversol", "ioversol"),
    ("optiray", "ioversol"),
    ("iobitridol", "iobitridol"),
    ("xenetix", "iobitridol"),
    ("accupa", "iobitridol"),
    ("gadoxet", "gadoxetate"),
    ("primovist", "gadoxetate"),
    ("eovist", "gadoxetate"),
    ("gadobutrol", "gadobutrol"),
    ("gadovist", "gadobutrol"),
    ("gadoterat", "gadoterate"),
    ("dotarem", "gadoterate"),
    ("clariscan", "gadoterate"),
    ("gadobenat", "gadobenate"),
    ("multihance", "gadobenate"),
)
_NO_AGENT = frozenset(
    ("none", "no", "ohne", "nativ", "native", "without", "sans", "keine", "kein", "0")
)


def plain(text: str) -> str:
    """Returns a text in lower case without accents, words parted by single blanks."""
    text = unicodedata.normalize("NFKD", text.replace("ß", "ss"))
    text = "".join(c for c in text if not unicodedata.combining(c)).lower()
    text = re.sub(r"\bw/o\b", " without ", text)
    return " ".join(re.sub(r"[^a-z0-9+%]+", " ", text).split())


def vendor(manufacturer: str) -> str:
    """Returns a vendor's name, ``*`` for an unknown one, empty for none."""
    text = plain(manufacturer)
    for word, name in _VENDORS.items():
        if re.search(rf"\b{word}\b", text):
            return name
    return "*" if text else ""


def model(text: str) -> str:
    """Returns a scanner's model: known words and short codes, ``*`` for all others."""
    return _known(text, words=_MODELS, code=r"[a-z]{0,2}\d{1,3}\+?")


def kernel(text: str) -> str:
    """Returns a convolution kernel such as ``B30f``, ``STANDARD`` or ``FC13``."""
    code = r"[a-z]{1,2}\d{2,3}[a-z]{0,2}|[a-z]"
    return _known(text, words=_KERNELS, code=code)


def is_sharp(text: str) -> bool:
    """Returns whether a kernel is one for bone or lung, unfit for a liver.

    Siemens' numbers grow with sharpness (B30f is soft, B60f and above are sharp).
    """
    words = plain(text).split()
    if any(word in _SHARP_WORDS for word in words):
        return True
    siemens = re.match(r"(?:b|i|d|h|br|bl|bv|qr)(\d{2})", words[0] if words else "")
    return bool(siemens) and int(siemens[1]) >= 55


def contrast_agent(text: str) -> str:
    """Returns the agent's generic name, ``given`` for another, empty for none."""
    found = plain(text)
    if not found or set(found.split()) & _NO_AGENT:
        return ""
    for word, name in _AGENTS:
        if word in found.replace(" ", ""):
            return name
    return "given"


def _known(text: str, *, words: frozenset[str], code: str) -> str:
    kept, numbers = [], 0
    for part in re.split(r"[\s_\\]+", text.strip()):
        bare = part.lower()
        # "LightSpeed16" is a word and a number, "AS+" a word and a sign.
        pair = re.fullmatch(r"([a-z]+)(?:\d{1,3}|\+)", bare)
        known = bare in words or (pair is not None and pair[1] in words)
        known = known or re.fullmatch(code, bare) is not None
        # Several numbers may be a date.
        numbers += known and any(letter.isdigit() for letter in bare)
        if part:
            kept.append(part if known and numbers < 2 else "*")
    return " ".join(kept)
