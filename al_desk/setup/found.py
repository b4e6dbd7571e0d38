"""What a source holds, shown before an experiment starts on it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import streamlit as st

from al_core.analysis.classes import unmeasured_in_words
from al_core.images.survey import Survey
from al_core.jobs import JobState
from al_core.names import counted
from al_core.sources.sources import SOURCES
from al_core.sources.uploads import left_out_of
from al_desk.routes.pictures import at_once
from al_desk.server.images import look_again, look_at
from al_desk.widgets.formatting import plain, show_error
from al_desk.widgets.job_progress import watch
from al_desk.widgets.picture_wall import picture_wall

CLASSES = 10  # in the sources that come with the program, and where nobody knows yet
NAMED = 12  # classes, and endings, in a sentence
WITHOUT = "Without classes all images are unlabelled, and you name the classes."


def ask_about(source: str) -> tuple[bool, str]:
    """Show what was found at a path, and ask whether its folders are classes, where it has some;
    the answer, and what is missing before a start, in a sentence."""
    if not source or source in SOURCES:
        return True, ""
    job = look_at(source, True)
    job.wait(1.0)  # most folders are listed by then, and nothing below moves
    if job.active:
        watch(job, "Looking what is there")
        return True, "It is not known yet what is there: start once it has been looked at."
    if job.state is not JobState.DONE:
        show_error(job.error or "Looking at these images was cancelled.")
        look_again()  # with the next run of the page: it may be there by then
        return True, ""
    found: Survey = job.result[0]
    are_classes: bool | None = True
    if found.doubts:
        st.warning(plain(" ".join(found.doubts)), icon=":material/help:")
        are_classes = st.radio(
            "The folders are",
            (True, False),
            None,  # nobody but a person knows
            format_func={True: "classes", False: "no classes"}.__getitem__,
            key=f"asked-{source}",
            horizontal=True,
            help=WITHOUT,
        )
    elif found.kind in ("folder", "zip") and found.classes:
        are_classes = st.checkbox(
            "The folders are classes", True, key=f"folders-{source}", help=WITHOUT
        )
    missing = "" if are_classes is not None else "Say first whether the folders are classes."
    if are_classes is False:
        job = look_at(source, False)
        job.wait(5.0)
        if job.state is not JobState.DONE:
            return False, ""
    _show(*job.result)
    return are_classes is not False, missing


def classes_of(source: str) -> int:
    """How many classes the images of a source have, if it was looked at already."""
    return CLASSES if source in SOURCES else len(class_names_of(source)) or CLASSES


def class_names_of(source: str) -> tuple[str, ...]:
    """The classes that the images of a folder or file come with, if it was looked at already."""
    job = look_at(source, True) if source else None
    if job is None or job.state is not JobState.DONE:
        return ()
    return tuple(name for name, _ in job.result[0].classes)


def has_labels(source: str, are_classes: bool) -> bool:
    """Whether some of its images come with a class, or that is not known yet."""
    if source in SOURCES or not source:
        return True
    job = look_at(source, are_classes)
    if job.state is not JobState.DONE:
        return True
    found: Survey = job.result[0]
    return found.unlabelled < len(found.content.keys)


def _show(found: Survey, samples: Sequence[tuple[str, bytes]]) -> None:
    """One sentence on each thing, and a few pictures."""
    split = "its own" if found.own_split else "drawn from each class"
    tested = f"{found.train:,} to label, {found.test:,} to measure with ({split})"
    # Which of them are copies, and which cannot be read, is known once all are read.
    lines = [
        f"**{counted(found.images, 'image')}**, copies included: "
        f"{tested if found.test else 'none to measure with'}."
    ]
    if found.classes:
        lines.append(f"Classes: {_counted(found.classes)}.")
        if found.unlabelled:
            lines.append(
                f"{counted(found.unlabelled, 'image has', 'images have')} no class yet. Labelled "
                "by the truth, all labels that are there come first, whatever *Initial images* "
                "says."
            )
    if any(name for name, _ in found.folders):
        folders = [(name or "in none of them", count) for name, count in found.folders]
        lines.append(f"In folders: {_counted(folders)}.")
    if found.unmeasured:
        lines.append(unmeasured_in_words(found.unmeasured, len(found.classes)))
    if found.left_out:
        lines.append(f"Left out: {_in_short(map(_left_out, found.left_out), '; ')}.")
    lines += map(plain, found.notes)
    if samples:
        # Of no experiment yet: they come with the page.
        pictures = [at_once(drawn) for _, drawn in samples]
        picture_wall(0, pictures, [[name] for name, _ in samples], key="samples")
    st.caption("  \n".join(lines))
    if len(found.classes) == 1:
        advice = "Add a folder of another, which may be empty, or say that they are no classes."
        is_named_by_folder = found.kind in ("folder", "zip") and not found.folders
        st.warning(
            f"There is one class alone, and two are needed. {advice * is_named_by_folder}",
            icon=":material/help:",
        )
    if names := left_out_of(Path(found.where)):
        with st.expander(f"Left out of the upload: {len(names):,}"):
            st.dataframe({"file": names}, hide_index=True)


def _counted(pairs: Iterable[tuple[str, int]]) -> str:
    return _in_short(f"{plain(name)} {count:,}" for name, count in pairs)


def _left_out(kind: tuple[str, int, str]) -> str:
    ending, count, example = kind
    is_said = example in ("", ending, ending.partition("*")[0])
    such = "" if is_said else f", such as {plain(example)}"
    return f"{plain(ending or 'no ending')} {count:,}{such}"


def _in_short(parts: Iterable[str], between: str = ", ") -> str:
    every = list(parts)
    more = f" and {len(every) - NAMED} more" if len(every) > NAMED else ""
    return between.join(every[:NAMED]) + more
