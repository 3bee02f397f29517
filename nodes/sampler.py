"""Nodes that sample as the release does."""

from comfy_api.latest import io

from ..lumosx_core.host.sampling.sampler import SamplingPlan, build_schedule, flow_sampling, run_sampler
from ..lumosx_core.sampling.solvers import DISTILLED, RELEASE_SCHEDULE
from .base import Node, when_known
from .sockets import CATEGORY, aliases


def _steps_input():
    return io.Int.Input(
        "steps", default=50, min=1, max=10000,
        tooltip="How many steps lead from noise to video. The release uses 50; the time is proportional. The "
        "schedules CausVid and FastWan have 3.",
    )


def _shift_input():
    return io.Float.Input(
        "shift", default=8.0, min=0.01, max=100.0, step=0.1,
        tooltip="How much of the run is spent at high noise, where layout and motion form. The release uses 8. It "
        "replaces the shift of ModelSampling nodes; the schedules CausVid and FastWan ignore it.",
    )


def _denoise_input():
    return io.Float.Input(
        "denoise", default=1.0, min=0.01, max=1.0, step=0.01,
        tooltip="1 starts from pure noise. A smaller value keeps more of the linked latent: use it to refine a video.",
    )


def _guidance_end_input():
    return io.Int.Input(
        "guidance_end_step", default=10000, min=0, max=10000, optional=True,
        tooltip="The first step without guidance, counted from 0; a number beyond steps keeps guidance to the end. "
        "From this step on, the negative is not computed and a step takes half the time: 30 of 50 saves a fifth of "
        "the run. It changes the video, so compare before you rely on it. It has no effect if cfg is 1.",
    )


def _schedule_input():
    return io.Combo.Input(
        "schedule", options=[RELEASE_SCHEDULE, *DISTILLED], default=RELEASE_SCHEDULE, optional=True,
        tooltip="release: the release's solver, with steps spaced by shift. CausVid and FastWan are for LoRAs and "
        "checkpoints of that name: 3 steps at the timesteps of their training (1000, 757, 522), with fresh noise "
        "after each, cfg 1, and no shift. Experimental: how well LumosX keeps faces with them has not been measured.",
    )


@when_known
def check_steps(steps, denoise, schedule):
    """Found when the workflow is queued: the text encoder takes long."""
    build_schedule(steps, 1.0, denoise, schedule)


@when_known
def _check_part(steps, denoise, schedule, start_step, end_step):
    build_schedule(steps, 1.0, denoise, schedule).last(steps).window(start_step, end_step)


class LumosXSampler(Node):
    """The release's sampling in one node."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="LumosX_Sampler",
            display_name="LumosX Sampler",
            category=CATEGORY,
            **aliases("ksampler", "wan sampler", "dpm++ 2m", "flow sampler", "generate video"),
            description="Samples like the release: DPM-Solver++(2M) on the flow schedule, at whole timesteps.",
            inputs=[
                io.Model.Input("model", tooltip="A model from LumosX Model Loader or LumosX Model."),
                io.Conditioning.Input("positive", tooltip="From LumosX Relational Encode."),
                io.Conditioning.Input("negative", tooltip="From LumosX Relational Encode. Not used if cfg is 1."),
                io.Latent.Input("latent", tooltip="From LumosX Relational Encode, or a video to refine."),
                io.Int.Input(
                    "seed", default=0, min=0, max=0xFFFFFFFFFFFFFFFF, control_after_generate=True,
                    tooltip="The seed of the noise. The same seed and inputs give the same video.",
                ),
                _steps_input(),
                io.Float.Input(
                    "cfg", default=6.0, min=0.0, max=100.0, step=0.1,
                    tooltip="How strictly the prompt is followed. The release uses 6. 1 skips the negative and "
                    "halves the time, for distilled models and few-step LoRAs.",
                ),
                _shift_input(),
                _denoise_input(),
                io.Int.Input(
                    "start_step", default=0, min=0, max=10000,
                    tooltip="The first step to run, counted from 0. Use it to continue a latent in which an earlier "
                    "end_step left noise. Above 0, no noise is added; to refine a finished video, use denoise.",
                ),
                io.Int.Input(
                    "end_step", default=10000, min=1, max=10000,
                    tooltip="The step to stop before; a number beyond steps means the end. If it stops earlier, "
                        "noise is left in the latent.",
                ),
                _guidance_end_input(),
                _schedule_input(),
            ],
            outputs=[io.Latent.Output(display_name="latent", tooltip="The video's latent, for VAE Decode.")],
        )

    @classmethod
    def validate_inputs(cls, steps=None, denoise=None, schedule=RELEASE_SCHEDULE, start_step=0, end_step=10000):
        return cls.verdict(
            _check_part, steps=steps, denoise=denoise, schedule=schedule, start_step=start_step, end_step=end_step
        )

    @classmethod
    def execute(
        cls, model, positive, negative, latent, seed, steps, cfg, shift, denoise, start_step, end_step,
        guidance_end_step=10000, schedule=RELEASE_SCHEDULE,
    ) -> io.NodeOutput:
        plan = SamplingPlan(
            seed, steps, cfg, shift, denoise, start_step, end_step, guidance_end_step, schedule
        )
        return io.NodeOutput(run_sampler(model, positive, negative, latent, plan))


class LumosXSchedule(Node):
    """The same solver and noise levels as parts."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="LumosX_Schedule",
            display_name="LumosX Schedule",
            category=CATEGORY,
            **aliases("scheduler", "sigmas", "custom sampler", "shift", "causvid", "fastwan"),
            description="The solver and the noise levels of LumosX Sampler, for SamplerCustomAdvanced and its guiders.",
            inputs=[_steps_input(), _shift_input(), _denoise_input(), _guidance_end_input(), _schedule_input()],
            outputs=[
                io.Sampler.Output(
                    display_name="sampler",
                    tooltip="DPM-Solver++(2M) at whole timesteps; with CausVid and FastWan, fresh noise after each "
                    "step. Guidance ends at a noise level, so SIGMAS may be split.",
                ),
                io.Sigmas.Output(display_name="sigmas", tooltip="The flow schedule; may be split."),
            ],
        )

    @classmethod
    def validate_inputs(cls, steps=None, denoise=None, schedule=RELEASE_SCHEDULE):
        return cls.verdict(check_steps, steps=steps, denoise=denoise, schedule=schedule)

    @classmethod
    def execute(cls, steps, shift, denoise, guidance_end_step=10000, schedule=RELEASE_SCHEDULE) -> io.NodeOutput:
        sampler, sigmas, _ = flow_sampling(steps, shift, denoise, guidance_end_step, schedule)
        return io.NodeOutput(sampler, sigmas)
