"""The nodes that let a vision-language model find phrases, or write a prompt with them."""

from comfy_api.latest import io, ui

from ..lumosx_core.host.conditioning.asking import LAYOUTS, SHEET, answered, ask
from ..lumosx_core.scene.asking import FIND_PHRASES, TASKS
from .base import Node
from .sockets import SCENE, QuestionSocket, RelationsSocket, aliases


class LumosXAsk(Node):
    """A question about a scene's pictures, for any vision-language model."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="LumosX_Ask",
            display_name="LumosX Ask",
            category=SCENE,
            **aliases("vlm", "vision language model", "caption", "describe references", "write prompt", "qwen vl"),
            description="Asks a vision-language model about the pictures of a scene: which words of the prompt name "
            "each picture, or a prompt that holds all phrases. Link pictures and question to any node that takes a "
            "picture and a text, such as ComfyUI's Generate Text, and its answer to LumosX Read Answer.",
            inputs=[
                RelationsSocket.Input(
                    "relations",
                    tooltip="The scene, from LumosX Binder. To find phrases, its words may be anything, e.g. \"?\".",
                ),
                io.String.Input(
                    "prompt", multiline=True, dynamic_prompts=True, default="",
                    tooltip="To find phrases: the prompt of the video. To write a prompt: what the video is about; it "
                    "may be empty.",
                ),
                io.Combo.Input(
                    "task", options=list(TASKS), default=FIND_PHRASES,
                    tooltip="Find the phrases: the model says which words of the prompt name each picture. Write a "
                    "prompt: the words of the scene stay, and the model writes a prompt that holds all of them.",
                ),
                io.Combo.Input(
                    "layout", options=list(LAYOUTS), default=SHEET, optional=True,
                    tooltip="One numbered sheet, since most models take one picture, or a batch with a number above "
                    "each picture.",
                ),
            ],
            outputs=[
                io.Image.Output(display_name="pictures", tooltip="The numbered pictures, for the model."),
                io.String.Output(display_name="question", tooltip="The question, for the model. It asks for JSON."),
                QuestionSocket.Output(display_name="asked", tooltip="What was asked, for LumosX Read Answer."),
            ],
        )

    @classmethod
    def validate_inputs(cls, prompt=None, task=None, layout=None):
        return cls.verdict(prompt=prompt, task=task, layout=layout)

    @classmethod
    def execute(cls, relations, prompt, task, layout=SHEET) -> io.NodeOutput:
        pictures, question, asked = ask(relations, prompt, task, layout)
        return io.NodeOutput(pictures, question, asked, ui=ui.PreviewImage(pictures, cls=cls))


class LumosXReadAnswer(Node):
    """A model's answer to RELATIONS and prompt that belong together."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="LumosX_ReadAnswer",
            display_name="LumosX Read Answer",
            category=SCENE,
            **aliases("vlm", "json", "vision language model", "parse answer", "fill phrases"),
            description="Reads the JSON that a vision-language model answered to LumosX Ask. Each phrase becomes words "
            "that are in the prompt letter by letter, or the run stops and says which picture has none.",
            inputs=[
                io.String.Input(
                    "answer", multiline=True, default="",
                    tooltip="The model's text, linked or pasted. Text and code fences around the JSON are ignored.",
                ),
                QuestionSocket.Input("asked", tooltip="What was asked, from LumosX Ask."),
            ],
            outputs=[
                RelationsSocket.Output(
                    display_name="relations", tooltip="The scene with its words, for LumosX Relational Encode.",
                ),
                io.String.Output(
                    display_name="prompt", tooltip="The prompt that holds all words, for LumosX Relational Encode.",
                ),
                io.String.Output(display_name="report", tooltip="Which words each picture got, as text."),
            ],
        )

    @classmethod
    def validate_inputs(cls, answer=None):
        return cls.verdict(answer=answer)

    @classmethod
    def execute(cls, answer, asked) -> io.NodeOutput:
        return io.NodeOutput(*answered(answer, asked))
