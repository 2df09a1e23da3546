"""Which series is which contrast phase: suggested with evidence, never guessed.

A role is suggested when the series' own words or its voxels speak for it and nothing
speaks as loudly for another; order in time and the contrast tag add to that. Where two
series could have one role the role stays empty and the candidates are named.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping, Sequence

from liverjax.imaging.enhancement import Enhancement
from liverjax.imaging.header_words import contrast_agent, is_sharp, plain
from liverjax.imaging.role_rules import RoleRule, RoleRules

PHASES = ("native", "arterial", "venous")
DELAYED = "delayed"
CONFIRMED, HIGH, MEDIUM, UNCLEAR = "confirmed", "high", "medium", "unclear"
MIN_SLICES = 10
# Reconstructions of one acquisition share its time; phases are further apart.
_SAME_TIME_S = 10.0
_WORDS, _VOXELS, _CONTRAST, _TIME = 3, 3, 2, 1

# Words of descriptions in English, German, French, Spanish, Italian, Portuguese, Dutch
# and Scandinavian, as `plain` writes them.
_VOCABULARY = {
    "native": (
        r"nativ\w*|plain|unenhanced|non (?:contrast|enhanced)|noncontrast|nonenhanced"
        r"|without|ohne|sans|senza|sin|sem|zonder|uten|utan|uden|blanco?|basal\w*"
        r"|simple|pre ?(?:contrast|km|kontrast|iv|injection)|nect|ncct|nc|nk"
    ),
    "arterial": r"art|(?:spaet|spat)?arteri\w*|ap|hap|lap",
    "venous": (
        r"ven|ven(?:ous|oes|os|oso|osa|eux|euse|ose|oese|eus|os[ae])|venphase"
        r"|port(?:al\w*|o\w*|a)?|pv|pvp|pvv|pvph|hvp|pvenous"
    ),
    DELAYED: (
        r"delay\w*|late|spaet\w*|spat\w*|tardi\w*|tardi[fv]\w*|equilib\w*|excret\w*"
        r"|ausscheid\w*|urograph\w*|nephro\w*|sen(?:fase?)?|\d+ ?min"
    ),
}


@dataclasses.dataclass(frozen=True)
class Clues:
    """What is known of one volume of a study, for its role.

    Attributes:
        description: SeriesDescription.
        protocol: ProtocolName.
        kernel: ConvolutionKernel.
        agent: ContrastBolusAgent.
        number: SeriesNumber.
        part: Number of the volume inside its series, from 1.
        seconds: Since the study's first series; NaN if unknown.
        slice_mm: Distance of slices.
        slices: Number of them.
        axial: Whether slices lie across the body.
        modality: ``CT`` or ``MR``.
        enhancement: Measured in voxels; None if they were not read.
    """

    description: str = ""
    protocol: str = ""
    kernel: str = ""
    agent: str = ""
    number: str = ""
    part: int = 1
    seconds: float = math.nan
    slice_mm: float = math.nan
    slices: int = 0
    axial: bool = True
    modality: str = "CT"
    enhancement: Enhancement | None = None


@dataclasses.dataclass(frozen=True)
class Suggestion:
    """The role of one volume.

    Attributes:
        role: A phase, ``delayed``, or empty.
        confidence: ``confirmed`` (by ``roles.toml``), ``high``, ``medium``, or
            ``unclear``.
        evidence: Sentences made of known words only, fit to be shared.
    """

    role: str
    confidence: str
    evidence: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Assignment:
    """Which volume of a study has which role.

    Attributes:
        suggestions: One a volume, in the given order.
        chosen: Index of a volume by role.
        candidates: Indices by role, where several volumes could have it.
    """

    suggestions: tuple[Suggestion, ...]
    chosen: Mapping[str, int]
    candidates: Mapping[str, tuple[int, ...]]


def assign_roles(
    study: Sequence[Clues], *, rules: RoleRules | None = None
) -> Assignment:
    """Returns the roles of a study's volumes.

    Args:
        study: Its volumes.
        rules: A site's ``roles.toml``.
    """
    rules = rules or RoleRules()
    suggestions = suggest_roles(study, rules=rules)
    by_role: dict[str, list[int]] = {}
    for index, suggestion in enumerate(suggestions):
        if suggestion.role and suggestion.role != DELAYED:
            by_role.setdefault(suggestion.role, []).append(index)
    chosen, candidates = {}, {}
    for role, indices in by_role.items():
        best = _preferred(indices, study=study, prefer=rules.prefer)
        if len(best) == 1:
            chosen[role] = best[0]
        else:
            candidates[role] = tuple(best)
    return Assignment(tuple(suggestions), chosen, candidates)


def suggest_roles(study: Sequence[Clues], *, rules: RoleRules) -> list[Suggestion]:
    """Returns the role of each volume by itself, before they are compared.

    Args:
        study: Its volumes.
        rules: A site's ``roles.toml``.
    """
    ruled = [_ruled(clues, rules=rules) for clues in study]
    open_places = [
        i
        for i, clues in enumerate(study)
        if ruled[i] is None and not unfit(clues) and clues.modality == "CT"
    ]
    places = _places_in_time([study[i] for i in open_places])
    any_agent = any(contrast_agent(study[i].agent) for i in open_places)
    suggestions = []
    for index, clues in enumerate(study):
        rule = ruled[index]
        if rule is not None:
            suggestions.append(rule)
        elif index not in open_places:
            reason = unfit(clues) or "MR: roles.toml must say which channel it is"
            suggestions.append(Suggestion("", UNCLEAR, (reason,)))
        else:
            place = places[open_places.index(index)]
            found = _weigh(clues, place=place, any_agent=any_agent)
            if found.role in rules.rules:
                text = f"roles.toml describes {found.role}, and not so"
                found = Suggestion("", UNCLEAR, (*found.evidence, text))
            suggestions.append(found)
    return suggestions


def unfit(clues: Clues) -> str:
    """Returns why a volume cannot be a phase, empty if it can."""
    if not clues.axial:
        return "not axial"
    if clues.slices < MIN_SLICES:
        return f"{clues.slices} slices, fewer than {MIN_SLICES}"
    if is_sharp(clues.kernel):
        return "a sharp kernel (bone, lung)"
    return ""


def phase_of_voxels(enhancement: Enhancement) -> str:
    """Returns the phase that brightness speaks for, empty between them.

    Thresholds part what was measured on CHAOS, CRLM and TotalSegmentator scans and the
    phantom: vessels 54 to 63 HU native, 141 to 193 portal venous, above 300 arterial.
    """
    vessel, liver = enhancement.vessel_hu, enhancement.liver_hu
    if math.isnan(vessel):
        return ""
    if math.isnan(liver):
        return "arterial" if vessel >= 250 else "native" if vessel < 75 else ""
    if vessel >= 180 and vessel - liver >= 110:
        return "arterial"
    if vessel < 85 and liver < 85:
        return "native"
    if vessel >= 110 and vessel - liver < 90 and liver >= 60:
        return "venous"
    return ""


def phases_of_words(text: str) -> set[str]:
    """Returns the phases that a description names, ``delayed`` among them."""
    found = {}
    text = plain(text)
    for phase, words in _VOCABULARY.items():
        match = re.search(rf"(?:^| )({words})(?= |$)", text)
        if match:
            found[phase] = match[1].strip()
    if "arterial" in found and found.get(DELAYED, "").startswith(("late", "spa")):
        del found[DELAYED]  # late arterial
    return set(found)


def _ruled(clues: Clues, *, rules: RoleRules) -> Suggestion | None:
    def matches(rule: RoleRule) -> bool:
        return rule.matches(
            description=clues.description,
            protocol=clues.protocol,
            kernel=clues.kernel,
            number=clues.number,
            part=clues.part,
        )

    if rules.leave_out and matches(rules.leave_out):
        return Suggestion("", CONFIRMED, ("roles.toml leaves it out",))
    fits = [role for role, rule in rules.rules.items() if matches(rule)]
    if not fits:
        return None
    if len(fits) > 1:
        text = f"roles.toml gives it several roles: {', '.join(fits)}"
        return Suggestion("", UNCLEAR, (text,))
    return Suggestion(fits[0], CONFIRMED, ("roles.toml says so",))


def _weigh(clues: Clues, *, place: str, any_agent: bool) -> Suggestion:
    points: dict[str, int] = dict.fromkeys((*PHASES, DELAYED), 0)
    evidence = []
    strong = set()
    for field, text in (
        ("description", clues.description),
        ("protocol", clues.protocol),
    ):
        words = phases_of_words(text)
        if len(words) == 1:
            (phase,) = words
            points[phase] += _WORDS
            strong.add("words")
            evidence.append(f"{field} names the {phase} phase")
            break
        if len(words) > 1:
            evidence.append(f"{field} names {' and '.join(sorted(words))}")
            break
    if clues.enhancement is not None:
        vessel, liver = clues.enhancement.vessel_hu, clues.enhancement.liver_hu
        phase = phase_of_voxels(clues.enhancement)
        hu = ", ".join(
            f"{name} {value:.0f} HU"
            for name, value in (("vessels", vessel), ("liver", liver))
            if not math.isnan(value)
        )
        evidence.append(f"{hu or 'no vessel found'}: {phase or 'unclear'}")
        if phase:
            points[phase] += _VOXELS
            strong.add("voxels")
            # Late scans look portal venous but fainter.
            if phase == "venous" and points[DELAYED]:
                points[DELAYED] += _VOXELS
    agent = contrast_agent(clues.agent)
    if agent:
        evidence.append("a contrast agent is named")
        points["native"] -= _CONTRAST
    elif any_agent:
        evidence.append("no contrast agent, though other series have one")
        points["native"] += _CONTRAST
    if place:
        evidence.append(f"its place in time fits {place}")
        points[place] += _TIME
    order = sorted(points, key=lambda phase: -points[phase])
    best, second = order[0], order[1]
    clear = points[best] >= _WORDS and points[best] - points[second] >= 2
    if not strong or not clear:
        return Suggestion("", UNCLEAR, tuple(evidence))
    both = len(strong) == 2 and points[best] >= _WORDS + _VOXELS
    return Suggestion(best, HIGH if both else MEDIUM, tuple(evidence))


def _places_in_time(study: Sequence[Clues]) -> list[str]:
    """The phase that each volume's order in time fits, empty where it says nothing."""
    times = sorted(c.seconds for c in study if not math.isnan(c.seconds))
    starts = [
        t for i, t in enumerate(times) if i == 0 or t - times[i - 1] > _SAME_TIME_S
    ]
    orders = {3: PHASES, 4: (*PHASES, DELAYED)}
    names: tuple[str, ...] = orders.get(len(starts), ())
    places = []
    for clues in study:
        if not names or math.isnan(clues.seconds):
            places.append("")
            continue
        later = sum(start <= clues.seconds for start in starts)
        places.append(names[later - 1])
    return places


def _preferred(
    indices: Sequence[int], *, study: Sequence[Clues], prefer: str
) -> list[int]:
    """The candidates that are left when the site prefers thin or thick slices."""
    if len(indices) < 2 or not prefer:
        return list(indices)
    sign = 1 if prefer == "thin" else -1
    best = min(sign * study[i].slice_mm for i in indices)
    return [i for i in indices if sign * study[i].slice_mm <= best + 1e-3]
