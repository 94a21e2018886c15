"""Which label each set's own classes get in the bundle ``everyday``.

Classes that name the same action share a label, with one rule: two classes of one benchmark set
never share one, so that accuracy on that set stays the accuracy of its own protocol.
"""

from collections.abc import Mapping, Sequence

EVERYDAY_LABELS: dict[str, dict[str, str]] = {
    "utd_mhad": {
        "right arm swipe to the left": "swipe left",
        "right arm swipe to the right": "swipe right",
        "right hand wave": "wave",
        "two hand front clap": "clap",
        "right arm throw": "throw",
        "cross arms in the chest": "cross arms",
        "basketball shoot": "basketball shot",
        "right hand draw x": "draw x",
        "right hand draw circle (clockwise)": "draw circle clockwise",
        "right hand draw circle (counter clockwise)": "draw circle counter-clockwise",
        "draw triangle": "draw triangle",
        "bowling (right hand)": "bowling",
        "front boxing": "boxing",
        "baseball swing from right": "baseball swing",
        "tennis right hand forehand swing": "tennis swing",
        "arm curl (two arms)": "arm curl",
        "tennis serve": "tennis serve",
        "two hand push": "push",
        "right hand knock on door": "knock",
        "right hand catch an object": "catch",
        "right hand pick up and throw": "pick up and throw",
        "jogging in place": "run",
        "walking in place": "walk",
        "sit to stand": "stand up",
        "stand to sit": "sit down",
        "forward lunge (left foot forward)": "lunge",
        "squat (two arms stretch out)": "squat",
    },
    "nw_ucla": {
        "pick up with one hand": "pick up with one hand",
        "pick up with two hands": "pick up with two hands",
        "drop trash": "drop trash",
        "walk around": "walk",
        "sit down": "sit down",
        "stand up": "stand up",
        "donning": "put on clothes",
        "doffing": "take off clothes",
        "throw": "throw",
        "carry": "carry",
    },
    "msr_action3d": {
        "high arm wave": "wave",
        "horizontal arm wave": "horizontal arm wave",
        "hammer": "hammer",
        "hand catch": "catch",
        "forward punch": "punch",
        "high throw": "throw",
        "draw x": "draw x",
        "draw tick": "draw tick",
        "draw circle": "draw circle clockwise",  # checked: all 30 turn that way
        "hand clap": "clap",
        "two hand wave": "wave both hands",
        "side-boxing": "boxing",
        "bend": "bend",
        "forward kick": "kick",
        "side kick": "side kick",
        "jogging": "run",
        "tennis swing": "tennis swing",
        "tennis serve": "tennis serve",
        "golf swing": "golf swing",
        "pickup & throw": "pick up and throw",
    },
    "msr_daily6": {
        "cheer up": "cheer",
        "toss paper": "throw",
        "lie down on sofa": "lie down",
        "walk": "walk",
        "stand up": "stand up",
        "sit down": "sit down",
    },
    "bandai_namco_1": {
        "walk": "walk",
        "walk-back": "walk",
        "walk-left": "walk",
        "walk-right": "walk",
        "run": "run",
        "dash": "run",
        "bow": "bow",
        "bye": "wave",
        "byebye": "wave",
        "punch": "boxing",
    },
    "bandai_namco_2": {
        "walk": "walk",
        "walk-turn-left": "walk",
        "walk-turn-right": "walk",
        "run": "run",
        "wave-both-hands": "wave both hands",
        "wave-left-hand": "wave",
        "wave-right-hand": "wave",
        "raise-up-both-hands": "raise both hands",
        "raise-up-left-hand": "raise one hand",
        "raise-up-right-hand": "raise one hand",
    },
}

# Never trained on: they choose the threshold that says "not recognised".
UNKNOWN_CLASSES: dict[str, tuple[str, ...]] = {
    "bandai_namco_1": ("guide", "respond", "call", "kick", "slash", "dance-short"),
}

# What an action is called when seen in a mirror; all others keep their name.
MIRRORED_LABELS: dict[str, str] = {
    "swipe left": "swipe right",
    "swipe right": "swipe left",
    "draw circle clockwise": "draw circle counter-clockwise",
    "draw circle counter-clockwise": "draw circle clockwise",
}


# Held first frames of clips that begin upright: what a person does between actions. Served like any
# other label, and given little weight when the windows of a sequence are summed up.
STILL_LABEL = "stand still"
HELD = "(first frames, held)"  # how label sources spell held frames of a set
STILL_SOURCES = ("utd_mhad", "msr_action3d", "bandai_namco_2")
NOT_STANDING_AT_FIRST = ("sit to stand",)

# Told by the legs whatever the arms do, and by the arms whatever the legs do.
LEG_LABELS = ("squat", "lunge", "kick", "side kick", "stand still")
ARM_LABELS = (
    "arm curl", "basketball shot", "boxing", "catch", "cheer", "clap", "cross arms",
    "draw circle clockwise", "draw circle counter-clockwise", "draw tick", "draw triangle",
    "draw x", "hammer", "horizontal arm wave", "knock", "punch", "push", "raise both hands",
    "raise one hand", "swipe left", "swipe right", "wave", "wave both hands", "stand still",
)  # fmt: skip
# Windows of these lend their legs to arm actions: people stand like that while they use their arms.
STANCE_LABELS = (*ARM_LABELS, "walk", "run", "kick")

# Told apart by how far and how fast the legs swing.
GAIT_LABELS = ("walk", "run", "carry")
WALK_LABELS = ("walk", "carry")
RUN_LABELS = ("run",)
# Exercises, which people do as slowly as they like.
SLOW_LABELS = ("arm curl", "lunge", "squat")

# Done again and again without a pause, and much the same backwards.
REPEATED_LABELS = (
    "arm curl", "boxing", "clap", "hammer", "horizontal arm wave", "knock", "lunge", "squat",
    "wave", "wave both hands",
)  # fmt: skip


def label_names(labels: dict[str, dict[str, str]], *, hold_still: bool) -> tuple[str, ...]:
    """All labels in alphabetical order."""
    names = {name for classes in labels.values() for name in classes.values()}
    return tuple(sorted(names | ({STILL_LABEL} if hold_still else set())))


def label_sources(labels: dict[str, dict[str, str]], *, hold_still: bool) -> dict[str, list[str]]:
    """For each label the classes it was learned from, as ``set:class``."""
    sources: dict[str, list[str]] = {
        name: [] for name in label_names(labels, hold_still=hold_still)
    }
    for set_name, classes in labels.items():
        for class_name, label in classes.items():
            sources[label].append(f"{set_name}:{class_name}")
        if hold_still and set_name in STILL_SOURCES:
            sources[STILL_LABEL].append(f"{set_name}:{HELD}")
    return sources


def classes_of(sources: Mapping[str, Sequence[str]]) -> dict[str, dict[str, str]]:
    """For each set its classes and the label each one gets: :func:`label_sources`, back again."""
    labels: dict[str, dict[str, str]] = {}
    for label, named in sources.items():
        for source in named:
            set_name, _, class_name = source.partition(":")
            if class_name != HELD:
                labels.setdefault(set_name, {})[class_name] = label
    return labels
