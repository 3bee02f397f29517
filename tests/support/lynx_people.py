"""A person for the small Wan transformer, and the plain composition of Lynx that its nodes are measured against."""

import copy

import comfy.conds
import comfy.ops
import comfy.patcher_extension
import comfy.samplers
import comfy.sd
import torch
from comfy.ldm.wan.model import VaceWanModel, WanModel

from lumosx_core.host.methods.lynx import Appearance, lynx_guidance
from lumosx_core.models.lynx.adapters import ID_LAYERS, REF_LAYERS, Adapters, LynxPerson
from lumosx_core.models.lynx.attention import Addition, KeysValues
from lumosx_core.models.lynx.identity import NOBODY, PERSON, Identity, ReferenceInputs, identity_tokens
from support import lynx_files
from tools import lynx_network
from tools.golden import drawn_weight

WIDTH, BLOCKS = 256, 4
RESAMPLERS = {"full": WIDTH, "lite": lynx_files.LITE_WIDTH}
TEXT = 4096
SIZE = (1, 16, 3, 8, 10)
SIGMAS = "simple"
SIZES = {
    "dim": WIDTH, "ffn_dim": 512, "freq_dim": 256, "text_dim": TEXT, "num_heads": 2, "num_layers": BLOCKS,
    "cross_attn_norm": True,
}
VARIANTS = {
    "Wan2.1 T2V": (WanModel, {}),
    "Wan2.2 I2V": (WanModel, {"in_dim": 36}),
    "Wan2.1 I2V": (WanModel, {"in_dim": 36, "model_type": "i2v"}),
    "VACE": (VaceWanModel, {"vace_layers": 2, "vace_in_dim": 96}),
}
GUIDANCE = (5.0, 2.0)
"""The sampler's cfg and image_cfg of the release."""
_ROW = "plain_row"


def random(*shape, seed):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def write_adapters(folder, kind="full", ref=True):
    """Resampler, ID layers and reference layers as the release's files."""
    layers = lynx_files.adapter(kind, BLOCKS, WIDTH)
    files = {"resampler": lynx_files.resampler(RESAMPLERS[kind]), "ip_layers": lynx_files.release_names(layers)}
    if ref:
        files["ref_layers"] = lynx_files.release_names(lynx_files.adapter("ref", BLOCKS, WIDTH))
    return Adapters.of_files([lynx_files.write(folder / f"{kind}_{name}.safetensors", weights)
                              for name, weights in files.items()])


def make_person(adapters, seed=0):
    """A random face through the resampler, with a random picture for the reference pass."""
    embedding = torch.nn.functional.normalize(random(512, seed=seed), dim=0)
    with torch.no_grad():
        tokens = identity_tokens(adapters.resampler(), embedding)
    text = torch.zeros(1, 512, TEXT)
    text[:, :5] = random(1, 5, TEXT, seed=7)
    latents = random(2, 16, 1, 8, 8, seed=100 + seed)
    reference = ReferenceInputs.of(latents, text) if REF_LAYERS in adapters else None
    kind = adapters.sizes[ID_LAYERS].kind
    return LynxPerson(Identity(kind, tokens, torch.zeros(4, 4, 3, dtype=torch.uint8), reference=reference), adapters)


def conditioning(seed, words=40):
    """A CONDITIONING as CLIP Text Encode makes it."""
    text = torch.zeros(1, 512, TEXT)
    text[:, :words] = random(1, words, TEXT, seed=seed)
    return [[text, {}]]


class Plain:
    """Lynx composed by hand: a copy of the transformer, its layers with additions in them, and Euler steps."""

    def __init__(self, diffusion_model, person, id_scale=1.0, ref_scale=1.0, blocks=None):
        self.base = copy.deepcopy(diffusion_model)
        identity, adapters = person.identity, person.adapters
        ids = refs = None
        with torch.no_grad():
            if id_scale and ID_LAYERS in adapters:
                with adapters.open(ID_LAYERS) as found:
                    ids = lynx_network.fold_ids(found, identity.tokens, self.base, blocks)
            if ref_scale and REF_LAYERS in adapters:
                features = lynx_network.features(self.base, identity.reference.latents,
                                                 identity.reference.padded_text())
                with adapters.open(REF_LAYERS) as found:
                    refs = lynx_network.fold_refs(found, features, self.base, blocks)
        self.rows = []
        for row in (0, 1):
            additions = [lynx_network.at_scale(folded or {}, scale, [row])
                         for folded, scale in ((ids, id_scale), (refs, ref_scale))]
            self.rows.append(lynx_network.put_in(copy.deepcopy(self.base), *additions))

    def velocity(self, x, sigma, text, row):
        """row 0: the person, 1: nobody, None: no adapters."""
        model = self.base if row is None else self.rows[row]
        with torch.no_grad():
            return model(x, torch.full((len(x),), 1000.0 * float(sigma)), text)

    def sample(self, noise, sigmas, guided):
        """Euler steps along ``guided(x, sigma)``."""
        x = noise
        for sigma, following in zip(sigmas, sigmas[1:]):
            x = x + (following - sigma) * guided(x, sigma)
        return x


def sigmas_of(model, steps):
    return comfy.samplers.calculate_sigmas(model.get_model_object("model_sampling"), SIGMAS, steps)


def sample(model, positive, negative, steps=3, cfg=1.0, noise=None, latent=None, **span):
    """The host's KSampler with Euler steps, without its own scaling of latents.

    Args:
        latent: what it starts from beside noise; None for nothing.
        span: ``start_step`` and ``last_step``, as KSamplerAdvanced gives them.
    """
    import comfy.sample

    noise = random(*SIZE, seed=5) if noise is None else noise
    latent = torch.zeros_like(noise) if latent is None else model.model.process_latent_out(latent)
    result = comfy.sample.sample(
        model, noise, steps, cfg, "euler", SIGMAS, positive, negative, latent, seed=0, **span
    )
    return model.model.process_latent_in(result)


def dual_sample(model, conds, scales, sigmas, noise=None, latent=None):
    """The host's DualCFGGuider with Euler steps; ``conds`` are positive, negative and nobody."""
    import comfy.sample
    from comfy_extras.nodes_custom_sampler import Guider_DualCFG

    guider = Guider_DualCFG(model)
    guider.set_conds(*conds)
    guider.set_cfg(*scales)
    noise = random(*SIZE, seed=5) if noise is None else noise
    latent = torch.zeros_like(noise) if latent is None else model.model.process_latent_out(latent)
    result = guider.sample(noise, latent, comfy.samplers.sampler_object("euler"), sigmas, seed=0)
    return model.model.process_latent_in(result)


def load_variant(name="Wan2.1 T2V", seed=3):
    """A variant of Wan with drawn weights, through ComfyUI's loader."""
    kind, sizes = VARIANTS[name]
    network = kind(**SIZES, **sizes, dtype=torch.float32, device="cpu", operations=comfy.ops.disable_weight_init)
    weights = {key: drawn_weight(key, tuple(value.shape), seed) for key, value in network.state_dict().items()}
    with torch.inference_mode(False):
        return comfy.sd.load_diffusion_model_state_dict(weights)


def plain_model(patcher, people, appearance=Appearance(), **functions):  # noqa: B008
    """A MODEL that nobody else has, with the adapters inside its layers; functions as for ``put_in``.

    Args:
        people: one person, or one for each video of the batch.
    """
    people = people if isinstance(people, list) else [people]
    network = patcher.model.diffusion_model
    dtype = patcher.model.manual_cast_dtype or patcher.model.get_dtype()
    with torch.no_grad():
        folded = [_folded(network, person, dtype) for person in people]
    scales = (appearance.id_scale, appearance.ref_scale)
    places = [{block: [] for block in part} for part in folded[0]]
    lynx_network.put_in(network, *places, **functions)

    def of_rows(executor, x, *given, **more):
        mark = more.pop(_ROW, None)
        rows = [PERSON] * len(x) if mark is None else mark.flatten().long().tolist()
        for number, (place, scale) in enumerate(zip(places, scales)):
            for block, additions in place.items():
                pairs = [folded[row % len(people)][number][block].of_rows(torch.tensor([which]))
                         for row, which in enumerate(rows)]
                joined = [torch.cat([getattr(pair, name) for pair in pairs]) for name in ("keys", "values")]
                additions[:] = [Addition(KeysValues(*joined), scale)]
        return executor(x, *given, **more)

    clone = patcher.clone()
    clone.add_wrapper_with_key(comfy.patcher_extension.WrappersMP.DIFFUSION_MODEL, "plain", of_rows)
    return clone


def _folded(network, person, dtype):
    """(ID layers', reference layers') keys and values of a person and of nobody."""
    identity = person.identity
    with person.adapters.open(ID_LAYERS) as found:
        ids = lynx_network.fold_ids(found, identity.tokens, network)
    features = lynx_network.features(
        network, identity.reference.latents.to(dtype), identity.reference.padded_text().to(dtype)
    )
    with person.adapters.open(REF_LAYERS) as found:
        return ids, lynx_network.fold_refs(found, [one.float() for one in features], network)


def lynx_sample(model, given, guidance=None, steps=1, behind=None, **more):
    """A MODEL with Lynx on a positive and a negative.

    Args:
        guidance: (cfg, image_cfg) with LumosX Lynx Guidance; None is cfg 1.
        behind: a node that comes last.
    """
    positive, negative = given
    if guidance is not None:
        model, positive, negative, _ = lynx_guidance(model, *given, guidance[1])
    model = model if behind is None else behind(model)
    return sample(model, positive, negative, steps, 1.0 if guidance is None else guidance[0], **more)


def plain_sample(model, given, guidance=None, steps=1, start_step=0, last_step=None, **more):
    """The same on what ``plain_model`` gave, with all three branches as conditionings of DualCFGGuider."""
    if guidance is None:
        return sample(model, *given, steps, start_step=start_step, last_step=last_step, **more)
    positive, negative = given
    conds = [_with_row(positive, PERSON), _with_row(negative, PERSON), _with_row(negative, NOBODY)]
    sigmas = sigmas_of(model, steps)[start_step:None if last_step is None else last_step + 1]
    return dual_sample(model, conds, guidance, sigmas, **more)


def _with_row(conditioning, row):
    mark = {_ROW: comfy.conds.CONDRegular(torch.full((1, 1), float(row)))}
    return [[tensor, {**options, "model_conds": {**options.get("model_conds", {}), **mark}}]
            for tensor, options in conditioning]


def relative(measured, expected):
    return float((measured - expected).norm() / expected.norm())
