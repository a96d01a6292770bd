"""python tools/facereconstruction/train.py -opt ./configs/synergy_net/synergynet.yaml"""

from _door import open_door

if __name__ == "__main__":
    open_door("train")
