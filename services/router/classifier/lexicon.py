"""What the words of a text mean: words -> concepts, concepts of a clause -> patterns, of the whole text -> joints.

The vocabulary is data (`data/lexicon.txt`, `data/patterns.txt`). A text is read once from left to right: at each place
the longest word of the vocabulary wins, so that "送货上门" is never also "送货". Negation and "who did what" are
patterns between concepts of one clause. Nothing that a person wrote leaves this module except words of the vocabulary.
"""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from importlib.resources import files
from itertools import product
from operator import add
from typing import Final, NamedTuple

from services.router.classifier.measures import MEASURE, days_of, is_money

_DATA: Final = files("services.router.classifier") / "data"

# "a > b": b within so many characters after a; ">>" and "&" reach further. A Latin letter says less than a Chinese one.
_NEAR_ZH: Final = 3
_NEAR_EN: Final = 12
_FAR_ZH: Final = 12
_FAR_EN: Final = 48

_LATIN: Final = re.compile(r"[a-z0-9][a-z0-9'\-]*")
_LETTER: Final = frozenset("abcdefghijklmnopqrstuvwxyz0123456789")
_BREAKS: Final = "。！？!?；;，,\n\r、~～…:：()（）【】*|"
_IS_BREAK: Final = -1
_IS_LATIN: Final = -2
_IS_BLANK: Final = -3
_IS_DOT: Final = -4
_MAY_MEASURE: Final = "零〇一二两三四五六七八九十百千半几数多$£€￥¥"
_IS_NOTHING: Final = -5
_DAYS_LONG: Final = 10.0
_DAYS_SEVERAL: Final = 2.5
# Who names half a year or more speaks of how long something was in use, not of a parcel that is on its way.
_DAYS_OF_USE: Final = 180.0
_MEASURED: Final = ("dur_short", "dur_days", "dur_long", "money")

_Token = tuple[int, int, int, str]
"""Start, end, kind (an index of the concepts that the word carries), vocabulary word."""


class Reading(NamedTuple):
    """What was found in one text.

    `found` maps each concept, pattern and joint to the vocabulary words that made it; `longest_days` is the longest
    length of time named in the text, in days; `stems` are the stems of its Latin words; `pairs` are each character with
    the one after it.
    """

    found: Mapping[str, tuple[str, ...]]
    longest_days: float
    stems: tuple[str, ...]
    pairs: list[str]


@lru_cache(maxsize=20_000)
def stem(word: str) -> str:
    """Reduce an English word so that its inflections meet: deliver, delivers, delivered and delivering are one."""
    for ending in ("ing", "ed", "es", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 3 and not word.endswith("ss"):
            word = word[: -len(ending)]
            break
    return word[:-1] if len(word) > 3 and word.endswith("e") else word


def _sections(name: str) -> dict[str, list[tuple[str, str]]]:
    sections: dict[str, list[tuple[str, str]]] = {}
    rows: list[tuple[str, str]] = []
    for raw in (_DATA / name).read_text(encoding="utf-8").splitlines():
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        if line.startswith("["):
            rows = sections.setdefault(line.strip("[]"), [])
            continue
        key, _, value = line.partition(" = ")
        rows.append((key.strip(), value.strip()))
    return sections


class Lexicon:
    """The vocabulary, ready to read texts with; build one and keep it."""

    def __init__(self) -> None:
        words, rest = _sections("lexicon.txt"), _sections("patterns.txt")
        self._kinds: list[tuple[str, ...]] = []
        self._kind_of: dict[tuple[str, ...], int] = {}
        self._measured = {name: self._kind((name,)) for name in _MEASURED}
        self._read_words(words["words"])
        self._pairs: dict[str, dict[str, list[tuple[str, int, int]]]] = {}
        self._read_patterns(rest["patterns"])
        self._joints: dict[str, list[tuple[str, frozenset[str], frozenset[str]]]] = {}
        self._read_joints(rest["joint"])
        self.weights = {
            name: tuple((item.split()[0], float(item.split()[1])) for item in text.split(","))
            for name, text in rest["weights"]
        }
        self._for: dict[str, dict[str, float]] = {}
        for name, hits in self.weights.items():
            for code, weight in hits:
                if weight > 0:
                    self._for.setdefault(code, {})[name] = weight
        self._check_names()
        # Which patterns two kinds of words make, worked out when they first meet; None where a kind opens no pattern.
        self._met: list[dict[int, tuple[tuple[str, int, int], ...]] | None] = [
            {} if any(concept in self._pairs for concept in concepts) else None for concepts in self._kinds
        ]

    def _kind(self, concepts: tuple[str, ...]) -> int:
        if concepts not in self._kind_of:
            self._kind_of[concepts] = len(self._kinds)
            self._kinds.append(concepts)
        return self._kind_of[concepts]

    def _read_words(self, rows: Iterable[tuple[str, str]]) -> None:
        zh: dict[str, list[str]] = {}
        en: dict[str, tuple[list[str], str]] = {}
        for concept, text in rows:
            for word in dict.fromkeys(part.strip().lower() for part in text.split(" | ")):
                if (word.isascii() and not word[0].isdigit()) or " " in word:
                    key = " ".join(stem(part) for part in _LATIN.findall(word))
                    concepts, _ = en.setdefault(key, ([], word))
                else:
                    concepts = zh.setdefault(word, [])
                if concept not in concepts:
                    concepts.append(concept)
        self.vocabulary = frozenset(zh) | {word for _, word in en.values()} | set(_MEASURED)
        self._zh = {word: self._kind(tuple(concepts)) for word, concepts in zh.items()}
        self._en = {key: (self._kind(tuple(concepts)), word) for key, (concepts, word) in en.items()}
        two: dict[str, set[int]] = {}
        for word in zh:
            if len(word) > 1:
                two.setdefault(word[:2], set()).add(len(word))
        self._zh_two = {head: tuple(sorted(lengths, reverse=True)) for head, lengths in two.items()}
        self._zh_one = (
            dict.fromkeys(_MAY_MEASURE, _IS_NOTHING)
            | {word: kind for word, kind in self._zh.items() if len(word) == 1}
            | dict.fromkeys(_BREAKS, _IS_BREAK)
            | dict.fromkeys(_LETTER, _IS_LATIN)
            | {" ": _IS_BLANK, ".": _IS_DOT}
        )
        en_lengths: dict[str, set[int]] = {}
        for key in en:
            en_lengths.setdefault(key.split(" ", 1)[0], set()).add(key.count(" ") + 1)
        self._en_lengths = {first: tuple(sorted(lengths, reverse=True)) for first, lengths in en_lengths.items()}

    def _read_patterns(self, rows: Iterable[tuple[str, str]]) -> None:
        for name, text in rows:
            for alternative in text.split(" ; "):
                left, sign, right = alternative.split()
                reach = (_NEAR_ZH, _NEAR_EN) if sign == ">" else (_FAR_ZH, _FAR_EN)
                for a, b in product(left.split("/"), right.split("/")):
                    self._pairs.setdefault(a, {}).setdefault(b, []).append((name, *reach))
                    if sign == "&" and a != b:
                        self._pairs.setdefault(b, {}).setdefault(a, []).append((name, *reach))

    def _read_joints(self, rows: Iterable[tuple[str, str]]) -> None:
        for name, text in rows:
            wanted_text, *unwanted = (part.strip() for part in text.split(" - "))
            wanted = [part.strip() for part in wanted_text.split("+")]
            self._joints.setdefault(wanted[0], []).append((name, frozenset(wanted), frozenset(unwanted)))

    def _check_names(self) -> None:
        known = {concept for concepts in self._kinds for concept in concepts}
        known |= {name for row in self._pairs.values() for hits in row.values() for name, _, _ in hits}
        asked = set(self._pairs) | {b for row in self._pairs.values() for b in row} | set(self.weights)
        for joints in self._joints.values():
            for name, wanted, unwanted in joints:
                known.add(name)
                asked |= wanted | unwanted
        if asked - known:
            raise ValueError(f"the word list does not define {sorted(asked - known)}; add a line or correct the name")

    def read(self, text: str) -> Reading:  # noqa: C901, PLR0912  # the hot path: calls inside the loop double its time
        """Find every concept, pattern and joint of a lower-case text; time grows linearly with its length."""
        seen: dict[int, str] = {}
        found: dict[str, tuple[str, ...]] = {}
        stems: list[str] = []
        measures, longest = self._measure(text)
        clause: list[_Token] = []
        zh = self._zh
        # What can start at each place, looked up for all places at once: this loop is the classifier's hot path.
        pairs = [*map(add, text, text[1:] + " ")]
        heads = map(self._zh_two.get, pairs)
        singles = map(self._zh_one.get, text)
        resume_at = 0
        for i, (lengths, kind) in enumerate(zip(heads, singles, strict=True)):
            if i < resume_at or (lengths is None and kind is None):
                continue
            if i in measures:
                token = measures[i]
                clause.append(token)
                seen.setdefault(token[2], token[3])
                resume_at = token[1]
                continue
            if lengths is not None:
                for length in lengths:
                    word = text[i : i + length]
                    if (of_word := zh.get(word)) is not None:
                        resume_at = i + length
                        clause.append((i, resume_at, of_word, word))
                        seen.setdefault(of_word, word)
                        break
                if i < resume_at or kind is None:
                    continue
            assert kind is not None
            if kind >= 0:
                word = text[i]
                clause.append((i, i + 1, kind, word))
                seen.setdefault(kind, word)
            elif kind == _IS_LATIN:
                resume_at = self._latin(text, i, clause, seen, stems)
            elif (
                kind == _IS_BREAK
                # People who write Chinese often put a blank where a comma belongs; a dot within a number ends nothing.
                or (kind == _IS_BLANK and i and text[i - 1] > "\u2fff")
                or (kind == _IS_DOT and not text[i + 1 : i + 2].isdigit())
            ):
                if len(clause) > 1:
                    self._pair_up(clause, found)
                clause = []
        if len(clause) > 1:
            self._pair_up(clause, found)
        for kind, word in seen.items():
            for concept in self._kinds[kind]:
                found.setdefault(concept, (word,))
        for name in tuple(found):
            for joint, wanted, unwanted in self._joints.get(name, ()):
                if wanted <= found.keys() and unwanted.isdisjoint(found):
                    found[joint] = tuple(word for part in sorted(wanted) for word in found[part])
        return Reading(found, longest, tuple(stems), pairs)

    def _measure(self, text: str) -> tuple[dict[int, _Token], float]:
        tokens: dict[int, _Token] = {}
        longest = 0.0
        for match in MEASURE.finditer(text):
            if is_money(match):
                name = "money"
            else:
                days = days_of(match)
                if not days:
                    continue
                longest = max(longest, days)
                if days > _DAYS_OF_USE:
                    continue
                name = "dur_long" if days >= _DAYS_LONG else "dur_days" if days >= _DAYS_SEVERAL else "dur_short"
            tokens[match.start()] = (match.start(), match.end(), self._measured[name], name)
        return tokens, longest

    def _latin(self, text: str, start: int, clause: list[_Token], seen: dict[int, str], stems: list[str]) -> int:
        match = _LATIN.match(text, start)
        assert match is not None
        first, end = stem(match[0]), match.end()
        stems.append(first)
        counts = self._en_lengths.get(first)
        if counts is None:
            return end
        words, ends = [first], [end]
        while len(words) < counts[0] and text[ends[-1] : ends[-1] + 1] == " ":
            following = _LATIN.match(text, ends[-1] + 1)
            if following is None:
                break
            words.append(stem(following[0]))
            ends.append(following.end())
        for count in counts:
            if count <= len(words):
                entry = self._en.get(" ".join(words[:count]))
                if entry is not None:
                    kind, word = entry
                    clause.append((start, ends[count - 1], kind, word))
                    seen.setdefault(kind, word)
                    stems.extend(words[1:count])
                    return ends[count - 1]
        return end

    def speaks_for(self, code: str) -> Mapping[str, float]:
        """The concepts, patterns and joints that speak for a matter, each with its weight."""
        return self._for.get(code, {})

    def _pair_up(self, clause: list[_Token], found: dict[str, tuple[str, ...]]) -> None:
        for first, (_, end_a, kind_a, word_a) in enumerate(clause, start=1):
            met = self._met[kind_a]
            if met is None:
                continue
            latin = word_a[0] in _LETTER
            reach_max = _FAR_EN if latin else _FAR_ZH
            for start_b, _, kind_b, word_b in clause[first:]:
                gap = start_b - end_a
                if gap > reach_max:
                    break
                names = met.get(kind_b)
                if names is None:
                    names = met[kind_b] = self._meet(kind_a, kind_b)
                for name, reach_zh, reach_en in names:
                    if gap <= (reach_en if latin else reach_zh) and name not in found:
                        found[name] = (word_a, word_b)

    def _meet(self, kind_a: int, kind_b: int) -> tuple[tuple[str, int, int], ...]:
        hits: dict[str, tuple[str, int, int]] = {}
        for a in self._kinds[kind_a]:
            for b in self._kinds[kind_b]:
                for hit in self._pairs.get(a, {}).get(b, ()):
                    if hit[0] not in hits or hit[1] > hits[hit[0]][1]:
                        hits[hit[0]] = hit
        return tuple(hits.values())
