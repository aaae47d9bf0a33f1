"""Asks an interpreter which files it takes; a script of its own, for Python 3.7 or newer.

python runtime_child.py {tflite | tensorflow | litert} MODELS.json ANSWERS.json
"""

import json
import sys


def main(family: str, listed: str, answers: str) -> None:
    interpreter = import_interpreter(family)
    with open(listed, encoding="utf-8") as file:
        models = json.load(file)
    with open(answers, "w", encoding="utf-8") as file:
        json.dump([takes(interpreter, model) for model in models], file)


def import_interpreter(family):
    if family == "tensorflow":
        import tensorflow

        return tensorflow.lite.Interpreter
    if family == "litert":
        from ai_edge_litert.interpreter import Interpreter
    else:
        from tflite_runtime.interpreter import Interpreter
    return Interpreter


def takes(interpreter, model: str) -> bool:
    try:
        interpreter(model_path=model)
    except ValueError as error:
        if "Didn't find op for builtin opcode" in str(error) or "out of range" in str(error):
            return False
        raise
    return True


if __name__ == "__main__":
    main(*sys.argv[1:])
