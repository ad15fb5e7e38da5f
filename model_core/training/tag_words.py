"""Which words are tags, and which of them a photo has.

The tags are the most frequent nouns and adjectives of the training captions. Without a part-of-
speech tagger the other words are named here: function words, numbers, places in the picture, and
verbs in the forms that captions use. The lists were read through against the most frequent
thousand words of Flickr8k; for another corpus, look at what ``choose_words`` gives.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

MIN_CAPTIONS = 2  # of a photo, which have to use a word before it is a tag of the photo


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


FUNCTION_WORDS = _words(
    """
    a about above across after against all along amid among an and another any are area around
    as at away back background be been before behind being below beneath beside between big
    both bottom but by can close corner could couple do does doing down during each edge eight
    either end enough every few first five for foreground four from front group has have he
    her here high him himself his how i if in inside into is it its itself just large last
    left like little lot low many middle more most much near nearby next nine no not number
    object of off on one onto open or other others our out outside over part past piece place
    position right same second set seven several she side similar six small smaller so some
    someone something stuff t ten than that the their them themselves then there these they
    thing third this those three through to together too top toward towards trying two type
    under until up upon upside variety various very via was way we well were what when where
    which while who whom whose with within without you your
    """
)
VERBS = _words(
    """
    act appear attempt balance bark bathe begin bend bite biting blow board bounce bounding
    break bring brush build built buy carried carries carry catch catches caught celebrate
    chase chew climb climbs come cook cover covered cross crosses crouch cut dance dances
    decorated dig dive does done dressed drink drinks drive eat eats enjoy enter exit fall
    fallen fight fill filled flies fly follow gather get give go goes going hang has held help
    hike hit hits hold hug jog jump keep kick kiss kneel laugh laughs lay laying lead leads
    lean leap leave leaves lick lie lies lift lined look made make march meet move open
    overlook paddle painted parked pass passes pedal perform pick play point pose prepare
    prepares pull push pushes put raise reach reaches read ready rest ride roll run seated see
    seen set shake shop show shown sing sit skate sleep smile smoke speak spin splash splashes
    spray spread stand stare step stop stretch stretched surf surrounded swim tackle take talk
    throw tie toss touch touches travel tries try turn use view visit wait walk wash watch
    watches wear work worn wrestle
    """
)
ING_NOUNS = _words(
    """
    building clothing evening king morning painting railing ring string wedding wing
    """
)
STOP_WORDS = FUNCTION_WORDS | VERBS

IRREGULAR_PLURALS: Mapping[str, str] = {
    "man": "men",
    "woman": "women",
    "child": "children",
    "person": "people",
    "policeman": "policemen",
    "fireman": "firemen",
    "foot": "feet",
    "leaf": "leaves",
}
# Forms that are words of their own, not the plural of what they seem to be.
PLURAL_ONLY = _words(
    """
    glasses goggles jeans pants rapids shorts trunks woods
    """
)
_WORD = re.compile(r"[a-z]+")


def caption_words(caption: str) -> set[str]:
    """The different words of a caption, lower case, letters alone, without the possessive s."""
    return set(_WORD.findall(caption.lower().replace("'s", "")))


def plural_forms(word: str) -> set[str]:
    """How the plural of a noun may be written; empty for what is too short to be one."""
    if word in IRREGULAR_PLURALS:
        return {IRREGULAR_PLURALS[word]}
    if len(word) < 3:
        return set()
    if re.search(r"(s|x|z|ch|sh)$", word):
        return {word + "es"} - PLURAL_ONLY
    if re.search(r"[^aeiou]y$", word):
        return {word[:-1] + "ies"} - PLURAL_ONLY
    return {word + "s"} - PLURAL_ONLY


def merged_forms(words: Iterable[str]) -> dict[str, str]:
    """Form -> word, for each of ``words`` and its plural, which counts as the word itself.

    A plural that is among ``words`` beside its singular is merged too. Where a form is the plural
    of several words (puppies: puppy, and puppie, which some people write), the first one has it.
    """
    known = list(words)
    singulars: dict[str, str] = {}
    for word in known:
        for form in plural_forms(word) - FUNCTION_WORDS:
            singulars.setdefault(form, word)
    return {word: word for word in known} | singulars


def is_tag(word: str) -> bool:
    """True for what may be a noun or an adjective."""
    is_participle = word.endswith("ing") and word not in ING_NOUNS
    return len(word) > 2 and word not in STOP_WORDS and not is_participle


def choose_words(photos: Sequence[Sequence[str]], num_words: int) -> tuple[str, ...]:
    """The ``num_words`` tags that most photos have, most frequent first; ties by alphabet.

    Args:
        photos: The captions of each photo.
        num_words: How many; fewer when the captions have no more.
    """
    counted = [[caption_words(caption) for caption in captions] for captions in photos]
    raw = Counter(word for photo in counted for words in photo for word in sorted(words))
    forms = merged_forms(word for word, _ in raw.most_common())
    frequency: Counter[str] = Counter()
    for photo in counted:
        frequency.update(word for word in _agreed(photo, forms) if is_tag(word))
    ordered = sorted(frequency, key=lambda word: (-frequency[word], word))
    return tuple(ordered[:num_words])


def photo_tags(captions: Sequence[str], words: Sequence[str]) -> list[bool]:
    """For each of ``words``, whether at least ``MIN_CAPTIONS`` of a photo's captions use it."""
    agreed = _agreed([caption_words(caption) for caption in captions], merged_forms(words))
    return [word in agreed for word in words]


def _agreed(captions: Sequence[set[str]], forms: Mapping[str, str]) -> set[str]:
    used = Counter(
        word for words in captions for word in {forms[form] for form in words if form in forms}
    )
    return {word for word, count in used.items() if count >= MIN_CAPTIONS}
