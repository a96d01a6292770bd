"""Teach trained weights to tell how far off they are, and measure how well they tell it.

    python tools/build/calibrate_confidence.py configs/open_head/efficientnet_lite0.yaml \
        --weights weights/efficientnet_lite0.safetensors --backgrounds photos/

Where labels are a network's own answers, it makes hardly an error to learn from: --marked names
the crops that a person has marked, and no others are used.

A linear score of the pooled features is learned on the training crops, whole and spoiled; its map
to an expected NME is calibrated on the held-back crops. The head goes into the metadata of
the weights; with --figure the diagram is drawn too. Takes about 5 minutes. What other signals
would be worth is research/confidence_signals.py's to say.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from shared.command import Parser, existing, run
from shared.error_head import marked_crops, teach
from shared.held_back import read_recipe

from synergynet.nets.torch.checkpoints import load_checkpoint, save_checkpoint


def main() -> None:
    parser = Parser(__doc__)
    parser.add_recipe()
    parser.add_argument("--weights", type=existing, required=True, help="checkpoint; rewritten")
    parser.add_marked()
    args = parser.parse_args()
    config, model = read_recipe(args)
    net, info = load_checkpoint(args.weights, model)
    crops = marked_crops(config, model, args.marked)
    info = teach(net, info, *crops, args.backgrounds, args.figure)
    save_checkpoint(args.weights, net, info, half_weights=True)
    print(f"wrote {args.weights}")


if __name__ == "__main__":
    run(main)
