"""A model of RecBole, trained by RecBole's own trainer on the windows of recbench, and its lists for our test cases.

    recbench data cases ml-100k --out cases
    python examples/recbole_lists.py cases lists.csv        # minutes on one core
    recbench evaluate --rankings lists.csv --dataset ml-100k --name "SASRec (RecBole)"

More words are the model, SASRec if you name none, and options of RecBole:
``model=GRU4Rec learning_rate=0.002 train_batch_size=512 epochs=30 seed=1``.
"""

import csv
import json
import sys
from pathlib import Path

import torch
from recbole.config import Config
from recbole.data import create_dataset, data_preparation
from recbole.utils import get_model, get_trainer, init_logger, init_seed


class OurConfig(Config):
    """RecBole sets names back that numpy 2 has removed; recbench installs numpy 2."""

    def compatibility_settings(self):
        pass


def atomic(cases: Path, folder: Path) -> list[str]:
    """RecBole's atomic files of the three parts; a test case has no target here, so its last item stands in for one."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = {"train": "train.csv", "valid": "valid.csv", "test": "cases.csv"}
    for part, name in parts.items():
        with (cases / name).open() as file, (folder / f"{folder.name}.{part}.inter").open("w") as out:
            print("user_id:token", "item_id_list:token_seq", "item_id:token", sep="\t", file=out)
            for row in csv.DictReader(file):
                items = json.loads(row["items"])
                history = items if part == "test" else items[:-1]
                print(row["user"], " ".join(history), items[-1], sep="\t", file=out)
    return list(parts)


def main(cases: Path, lists: Path, *words: str) -> None:
    given = dict(word.split("=") for word in words)
    name = given.pop("model", "SASRec")
    settings = {
        "data_path": "recbole-data", "benchmark_filename": atomic(cases, Path("recbole-data/windows")),
        "load_col": {"inter": ["user_id", "item_id_list", "item_id"]}, "alias_of_item_id": ["item_id_list"],
        "MAX_ITEM_LIST_LENGTH": 10, "train_neg_sample_args": None, "use_gpu": False, "nproc": 1,
        # RecBole's NDCG and MRR need a name that numpy 2 has removed; its recall does not
        "metrics": ["Recall"], "topk": [10], "valid_metric": "Recall@10", "eval_args": {"mode": "full", "order": "TO"},
        "show_progress": False, **{option: json.loads(value) for option, value in given.items()},
    }  # fmt: skip
    # what follows is run_recbole() of recbole.quick_start, whose module imports ray
    sys.argv = sys.argv[:1]
    config = OurConfig(model=name, dataset="windows", config_dict=settings)
    init_seed(config["seed"], config["reproducibility"])
    init_logger(config)
    dataset = create_dataset(config)
    train, valid, test = data_preparation(config, dataset)
    init_seed(config["seed"] + config["local_rank"], config["reproducibility"])
    model = get_model(config["model"])(config, train._dataset).to(config["device"])
    torch.autograd.set_detect_anomaly(False)  # RecBole's SINE turns it on when it is imported, at twice the time
    trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, model)
    print("best validation:", trainer.fit(train, valid, show_progress=False))
    best = torch.load(trainer.saved_model_file, weights_only=False)  # our own file, of a moment ago
    model.load_state_dict(best["state_dict"])
    model.eval()
    with lists.open("w", newline="") as file, torch.no_grad():
        writer, case = csv.writer(file), 0
        writer.writerow(["case", "item", "score"])
        for batch, *_ in test:
            scores = model.full_sort_predict(batch.to(config["device"])).view(len(batch), -1)
            scores[:, 0] = -torch.inf  # padding
            top = scores.topk(10)
            for row, values in zip(dataset.id2token("item_id", top.indices.cpu()), top.values.tolist(), strict=True):
                writer.writerows([case, item, value] for item, value in zip(row, values, strict=True))
                case += 1


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:])
