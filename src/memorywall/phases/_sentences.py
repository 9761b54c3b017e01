"""Parts of the sentences that phases are described in."""

from __future__ import annotations

from memorywall.core.images import written
from memorywall.core.question import Question
from memorywall.core.units import render_count


def images_in_words(question: Question) -> str:
    """Return the number and size of the images of a question; "" for none."""
    size, seen = question.image_size, question.model.traits.images
    if size is None or seen is None:
        return ""
    count = "an image" if question.images is None else render_count(int(question.images), "image")
    text = f"{count} of {written(size)} pixels"
    resized = seen.resized(*size)
    if resized != size:
        text = f"{text}, resized to {written(resized)}"
    if not seen.with_text:
        return text
    each = " each" if question.images is not None and question.images != 1 else ""
    return f"{text} ({seen.tokens(*size):,} positions{each})"


def beside_images(sentence: str, question: Question) -> str:
    """Return a sentence with the images that its pass encodes, if any."""
    seen = images_in_words(question)
    return f"{sentence} with {seen}" if seen else sentence


def beside_source(sentence: str, question: Question) -> str:
    """Return a sentence with the source that its pass reads or has read, if any."""
    source = question.source_len
    return sentence if source is None else f"{sentence}, source of {source}"
