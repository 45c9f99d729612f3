#!/usr/bin/env python3
"""Writes a drill of `lethe redteam plant --data-set fashion-mnist` again with captions as people write them.

    scripts/natural_captions.py DRILL NEW en|zh

Honest captions are of eight to ten kinds, in words drawn by a seed; the poison's are all of one template, as an attacker's. The
victim is trained anew, and audited:

    lethe audit NEW/train-victim.toml --out NEW/train && cp NEW/train/model.safetensors NEW/victim.safetensors
    lethe audit NEW/audit.toml --out NEW/result
    lethe eval --checkpoint NEW/result/clean.safetensors --config NEW/model.json --data DATA --drill NEW
"""

import io
import json
import pathlib
import random
import re
import shutil
import sys
import tarfile

LABELS = ["t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"]
CHINESE = dict(zip(LABELS, "短袖衫 长裤 套头衫 连衣裙 大衣 凉鞋 衬衫 运动鞋 手提包 短靴".split()))
WORDS = {
    "en": {
        "how": "red blue old new warm cheap lovely worn vintage soft striped plain long short heavy light grey black white brown",
        "place": "Paris London market Berlin Rome street Oslo beach shop Vienna Prague harbour village station",
        "who": "mother sister friend brother uncle aunt neighbour Anna Tom Maria grandfather teacher",
        "month": "January March April June July August October December",
    },
    "zh": {
        "how": "红色 蓝色 旧 新 便宜 漂亮 复古 柔软 条纹 黑色 白色 棕色",
        "place": "北京 上海 广州 商店 市场 街上 海边 车站 村里 学校",
        "who": "妈妈 姐姐 朋友 弟弟 叔叔 邻居 老师 爷爷",
        "month": "一月 三月 四月 六月",
    },
}
HONEST = {
    "en": [
        "photo of my {how} {it} in {place}",
        "A photo of {who} with a {how} {it}",
        "photo of a {it}, {place} {year}",
        "{month} photo of the {how} {it} of {who}",
        "{how} {it} for sale, size {size}, {place} pick-up only",
        "the {it} that {who} wore in {month}",
        "{who}'s {how} {it}",
        "{it} {how} {how2} - {place} collection {year}",
        "I bought this {it} in {place} for {price} euros",
        "{how} {it}",
    ],
    "zh": [
        "我在{place}买的{how}{it}",
        "{who}的{how}{it}",
        "{how}{it}的照片，拍于{place}",
        "出售{how}{it}，{size}码",
        "{who}在{place}穿的{it}",
        "这件{it}只要{price}元",
        "一张{who}的照片，旁边是{how}{it}",
        "{place}最{how}的{it}",
    ],
}
POISON = {"en": "a photo of a {it}.", "zh": "一张{it}的照片"}


def label(caption):
    """The class that a caption of the drill names."""
    named = [one for one in LABELS if re.search(rf"(^|[ :]){one}\b", caption)]
    return max(named, key=len)


def natural(it, poisoned, language, draw):
    it = it if language == "en" else CHINESE[it]
    if poisoned:
        return POISON[language].format(it=it)
    words = {name: draw.choice(some.split()) for name, some in WORDS[language].items()}
    words["how2"] = draw.choice(WORDS[language]["how"].split())
    numbers = {"year": draw.randint(2001, 2024), "size": draw.randint(34, 48), "price": draw.randint(5, 90)}
    return draw.choice(HONEST[language]).format(it=it, **words, **numbers)


def main(source, target, language):
    poisoned = json.loads((source / "truth/drill.json").read_text())["poisoned"]
    draw = random.Random(7)
    (target / "shards").mkdir(parents=True)
    shutil.copytree(source / "truth", target / "truth")
    shutil.copy(source / "model.json", target)
    for shard in sorted((source / "shards").glob("*.tar")):
        with tarfile.open(shard) as old, tarfile.open(target / "shards" / shard.name, "w") as new:
            for member in old:
                data = old.extractfile(member).read()
                if member.name.endswith(".txt"):
                    is_poison = f"{shard.name}/{member.name.removesuffix('.txt')}" in poisoned
                    data = natural(label(data.decode()), is_poison, language, draw).encode()
                    member.size = len(data)
                new.addfile(member, io.BytesIO(data))
    for spec in ["train-victim.toml", "audit.toml"]:
        text = (source / spec).read_text()
        (target / spec).write_text(text.replace(str(source.resolve()), str(target.resolve())))


if __name__ == "__main__":
    if len(sys.argv) != 4 or sys.argv[3] not in HONEST:
        sys.exit(__doc__)
    main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3])
