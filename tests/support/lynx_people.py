"""A person for the small Wan transformer, and the plain composition of Lynx that its nodes are measured against."""

import copy

import comfy.samplers
import torch

from lumosx_core.models.lynx.adapters import ID_LAYERS, REF_LAYERS, Adapters, LynxPerson
from lumosx_core.models.lynx.identity import Identity, ReferenceInputs, identity_tokens
from support import lynx_files
from tools import lynx_network

WIDTH, BLOCKS = 256, 4
RESAMPLERS = {"full": WIDTH, "lite": lynx_files.LITE_WIDTH}
TEXT = 4096
SIZE = (1, 16, 3, 8, 10)
SIGMAS = "simple"


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


def sample(model, positive, negative, steps=3, cfg=1.0, noise=None):
    """The host's KSampler with Euler steps, without its own scaling of latents."""
    import comfy.sample

    noise = random(*SIZE, seed=5) if noise is None else noise
    result = comfy.sample.sample(
        model, noise, steps, cfg, "euler", SIGMAS, positive, negative, torch.zeros_like(noise), seed=0
    )
    return model.model.process_latent_in(result)


def relative(measured, expected):
    return float((measured - expected).norm() / expected.norm())
