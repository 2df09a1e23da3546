from __future__ import annotations

import pytest

from liverjax.imaging import header_words


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("SOMATOM Definition AS+", "SOMATOM Definition AS+"),
        ("LightSpeed16", "LightSpeed16"),
        ("Discovery CT750 HD", "Discovery CT750 HD"),
        ("Aquilion ONE", "Aquilion ONE"),
        ("Brilliance 64", "Brilliance 64"),
        ("Doe^Jane Definition", "* Definition"),
        ("Jane Doe", "* *"),
        ("12.03.1950", "*"),
        ("19 50 03", "19 * *"),
        ("4711234", "*"),
        ("", ""),
    ],
)
def test_a_model_is_known_words_and_at_most_one_number(text, kept):
    assert header_words.model(text) == kept


@pytest.mark.parametrize(
    ("text", "kept", "sharp"),
    [
        ("B30f", "B30f", False),
        ("B60f", "B60f", True),
        ("Br40d\\3", "Br40d *", False),
        ("STANDARD", "STANDARD", False),
        ("LUNG", "LUNG", True),
        ("FC13", "FC13", False),
        ("DOE", "*", False),
    ],
)
def test_kernels_are_known_by_their_form(text, kept, sharp):
    assert header_words.kernel(text) == kept
    assert header_words.is_sharp(text) is sharp


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("SIEMENS", "Siemens"),
        ("GE MEDICAL SYSTEMS", "GE"),
        ("Philips Medical Systems", "Philips"),
        ("Gerda Doe", "*"),
        ("", ""),
    ],
)
def test_vendors_are_known_words(text, name):
    assert header_words.vendor(text) == name


@pytest.mark.parametrize(
    ("text", "agent"),
    [
        ("Ultravist 370", "iopromide"),
        ("GASTRO & OMNI", "iohexol"),
        ("given by Dr Doe", "given"),
        ("CONTRAST", "given"),
        ("ohne", ""),
        ("", ""),
    ],
)
def test_contrast_agents_are_generic_names(text, agent):
    assert header_words.contrast_agent(text) == agent
