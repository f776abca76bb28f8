"""Land-cover tags from a caption by LLaVA-NeXT (Liu et al. 2024), on a GPU host that has it.

Nothing is fetched here. transformers is imported when a captioner is made. The steps were tried
with its LLaVA-NeXT classes on a tiny random model on a CPU; neither the published weights nor a
GPU nor the quality of real captions has been tried.
"""

import re
from types import ModuleType

import torch

from ldsr.data.patch import Patch
from ldsr.errors import LdsrError, WeightsError
from ldsr.semantics.clip import to_picture
from ldsr.semantics.vocabulary import VOCABULARY, normalise

MODEL = "llava-hf/llama3-llava-next-8b-hf"
"""Name at the Hugging Face hub; 17 GB, Llama 3 community licence."""
PROMPT = (
    "You are an expert analyst of satellite pictures. This is a true-colour satellite picture "
    "with 10 metres to the pixel. List only what is visible: terrain, land use, vegetation, "
    "water, roads and buildings. Name each kind of land cover and leave out what is absent. "
    "Answer in at most three sentences."
)
MOST_TOKENS = 160
SIDE = 336
"""The picture is enlarged so that its shorter side has the width of one tile of the model."""


class LlavaCaptioner:
    """LLaVA-NeXT and its processor, loaded once.

    Args:
        name: at the hub (already on this machine), or a folder.
        device: where it runs.

    Raises:
        LdsrError: no GPU, no transformers.
        WeightsError: the weights are not on this machine.
    """

    def __init__(self, name: str = MODEL, *, device: str = "cuda") -> None:
        if device == "cuda" and not torch.cuda.is_available():
            raise LdsrError(
                "LLaVA needs a GPU host and there is no CUDA GPU here; choose spectral tags."
            )
        transformers = _import_transformers()
        dtype = torch.float32 if device == "cpu" else torch.bfloat16
        try:
            self.processor = transformers.LlavaNextProcessor.from_pretrained(
                name, local_files_only=True
            )
            model = transformers.LlavaNextForConditionalGeneration.from_pretrained(
                name, local_files_only=True, dtype=dtype
            )
        except (OSError, ValueError) as error:  # what transformers raises for absent files
            raise WeightsError(
                f"The weights {name} are not on this machine; fetch them with: "
                f"hf download {name} (17 GB)."
            ) from error
        self.model = model.to(device).eval()

    @torch.inference_mode()
    def __call__(self, patch: Patch) -> str:
        """Describe a patch in a few sentences, always the same for the same patch.

        Raises:
            PatchError: no pixel is valid.
        """
        picture = to_picture(patch)
        factor = max(1.0, SIDE / min(picture.size))
        picture = picture.resize([round(side * factor) for side in picture.size])
        parts = [{"type": "image"}, {"type": "text", "text": PROMPT}]
        chat = self.processor.apply_chat_template(
            [{"role": "user", "content": parts}], add_generation_prompt=True
        )
        inputs = self.processor(images=picture, text=chat, return_tensors="pt")
        inputs = inputs.to(self.model.device, self.model.dtype)
        tokens = self.model.generate(**inputs, max_new_tokens=MOST_TOKENS, do_sample=False)
        answer = tokens[0, inputs["input_ids"].shape[1] :]
        return self.processor.decode(answer, skip_special_tokens=True).strip()


WORDS = {
    "water": r"water(s|ways?|body|bodies|courses?)?|rivers?|riverbeds?|streams?|creeks?|lakes?|"
    r"ponds?|seas?|oceans?|reservoirs?|canals?|lagoons?|estuar(y|ies)|bays?|wetlands?",
    "forest": r"forest(s|ed|ry)?|woods?|woodlands?|wooded|trees?|treed|conifer(s|ous)?|deciduous|"
    r"evergreens?|jungles?|rainforests?|groves?|tree canop(y|ies)",
    "grassland": r"grass(es|y)?|grasslands?|meadows?|pastures?|lawns?|shrub(s|by|lands?)?|"
    r"scrub(s|by|lands?)?|savann?ahs?|savannas?|steppes?|heath(s|lands?)?|prairies?",
    "cropland": r"crop(s|ped|lands?|ping)?|fields?(?! of view)|farm(s|ed|ing|lands?)?|"
    r"agricultur(e|al)|cultivat(ed|ion)|arable|orchards?|vineyards?|plantations?|padd(y|ies)|"
    r"plough(ed|ing)?|plow(ed|ing)?|irrigat(ed|ion)|harvested",
    "built-up": r"build(ings?)|built(-| )up|urban|suburb(s|an)?|cit(y|ies)|towns?|villages?|"
    r"residential|hous(es?|ing)|settlements?|industr(y|ial)|commercial|roads?|streets?|highways?|"
    r"motorways?|rail(way|road)s?|roof(s|tops?)?|parking lots?|infrastructure|airports?|bridges?",
    "bare soil": r"(bare|barren|exposed|rocky) (soils?|ground|earth|land|rocks?|terrain)|barren|"
    r"bare|soils?|rock(s|y)?|dirt|gravel|arid|quarr(y|ies)|cliffs?",
    "sand": r"sand(s|y)?|beach(es)?|dunes?|deserts?",
    "snow": r"snow(s|y|fields?|-?(covered|capped))?|ice|icy|glaciers?|glacial|frozen",
    "cloud": r"cloud(s|y)?|overcast|haz(e|y)|fog(gy)?|mist(y)?",
    "shadow": r"shadow(s|y|ed)?|shaded?",
}
"""By tag the words that count for it, whole words only; one mention counts once."""

_STOP = r"(?:but|however|although|while|whereas|with|only|except|instead|is|are|was|were)\b"
_WORDS_ON = rf"(?:(?!\b{_STOP}|\band (?:the|an?|there|some|it)\b)[^,.;:!?\n])*"
_LISTED = r"(?:,?\s+[\w-]+){1,3}?"
_DENIED = tuple(
    re.compile(pattern)
    for pattern in (
        # water is not visible; roads and buildings are absent
        r"[\w-]+(?:\s+(?:and|or)\s+[\w-]+)?\s+(?:is|are|was|were)\s+(?:absent|lacking|"
        r"not\s+(?:visible|present|seen|evident|apparent|found|discernible))",
        # no water; without roads or buildings; no clouds, snow, or water; absence of trees
        r"\b(?:no|without|not(?! only)|lack(?:s|ing)?(?: of)?|absence of|devoid of|"
        rf"free (?:of|from)|neither|nor)\b{_WORDS_ON}(?:{_LISTED}(?=,))*(?:{_LISTED},?\s+n?or\b"
        r"(?:\s+[\w-]+){1,2})?",
        # cloud-free, snow free, cloudless, treeless
        r"\b\w+[- ]free\b|\b\w+less\b",
    )
)
"""What a caption says is not there; deliberately plain, it does not understand English."""


def caption_to_tags(caption: str) -> dict[str, float]:
    """Map a caption to the vocabulary: the share of a tag is its share of the words found.

    Mentions of what is absent ("no water") are ignored. A caption tells what there is rather than
    how much, so these shares are rougher than those of the spectral rules.

    Returns:
        Every tag of VOCABULARY in its order; shares 0..1, sum 1.

    Raises:
        LdsrError: no word of the caption is known.
    """
    said = caption.lower()
    for pattern in _DENIED:
        said = pattern.sub(" . ", said)
    counts = {tag: len(re.findall(rf"\b(?:{WORDS[tag]})\b", said)) for tag in VOCABULARY}
    if not any(counts.values()):
        raise LdsrError(
            f"The caption {caption[:80]!r} names no land cover; write the tags yourself."
        )
    return normalise(counts)


def _import_transformers() -> ModuleType:
    """The package transformers, or what to install."""
    try:
        import transformers
    except ImportError as error:
        raise LdsrError(
            f"LLaVA needs the package transformers ({error}); "
            'install it with: pip install "transformers>=4.56".'
        ) from error
    return transformers
