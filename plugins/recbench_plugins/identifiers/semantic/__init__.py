"""Semantic identifiers: codes from coarse to fine, so that similar items share their first codes.

Papers: Rajput et al., "Recommender Systems with Generative Retrieval" (TIGER), NeurIPS 2023,
https://arxiv.org/abs/2305.05065; Zheng et al., "Adapting Large Language Models by Integrating Collaborative Semantics
for Recommendation" (LC-Rec), ICDE 2024, https://arxiv.org/abs/2311.09049. Original code: TIGER's is not public;
github.com/RUCAIBox/LC-Rec.

A vector of each item is quantised level by level: each level takes the code nearest to the residual of the levels
before it. An item's name is one new token for each level (``<a_12><b_3><c_200>``). Items with the same codes are told
apart by one more token (``<d_0>``, ``<d_1>``, by their place in the catalogue), which is left out where no two items
agree.

Known differences, and the options that control them:

- ``vectors``: TIGER embeds title, price, brand and category by Sentence-T5, LC-Rec title and description by LLaMA. Here
  ``text`` is the mean of the untuned language model's last hidden states over the title. The tiny model is not
  pretrained, so the words are counted instead, weighted by TF-IDF and reduced to 64 columns by an SVD.
  ``collaborative`` takes the item vectors of a trained recommender, ``both`` puts the two next to each other, equal in
  weight.
- ``codes``: 256 as in both papers; 64 for a catalogue of at most 2,000 items, where 256 would give nearly every item
  its own first token.
- ``method``: ``kmeans`` (the default) is residual k-means, which has no encoder to train. ``rqvae`` trains an
  autoencoder with the codes in its middle: layers of 512, 256 and 128 to 32 and back, a commitment weight of .25 and
  codes that begin as clusters, as in TIGER; by AdamW at 1e-3, as in LC-Rec (TIGER: Adagrad at .4), for 2,000 steps
  of 1,024 items (TIGER: 20,000 epochs). The last step's codes are taken (LC-Rec: those with the fewest collisions).
- ``alignment``: LC-Rec also trains on other tasks than the next item. The two that need only titles are implemented:
  naming the identifier of a title, and the title of an identifier. They are off by default.
- LC-Rec spreads items evenly over the last level's codes (Sinkhorn) in place of a fourth token; this is TIGER's way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from recbench.interfaces import Fit, FitReport, Identifier, IdentifierOptions, IdentifierPlugin, Names

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from recbench.interfaces.identifiers import Source
    from recbench.types import Catalog, Split

    Codes = npt.NDArray[np.int32]
    Vectors = npt.NDArray[np.float32]

FEW_ITEMS, FEW_CODES, CODES = 2_000, 64, 256
WORDS = 64


class SemanticOptions(IdentifierOptions):
    """Options of ``--identifier semantic``."""

    vectors: Literal["text", "collaborative", "both"] = Field(
        "text",
        description="the vectors to quantise: the untuned language model's embeddings of titles (their words with "
        "--llm tiny), a collaborative model's item vectors, or both",
    )
    collaborative: str = Field("sasrec", description="the backbone whose item vectors are quantised")
    levels: int = Field(3, ge=1, le=8, description="tokens of an item, without the one that tells equal items apart")
    codes: int = Field(0, ge=0, description="codes per level; 0: 256, or 64 for a catalogue of at most 2,000 items")
    method: Literal["kmeans", "rqvae"] = Field(
        "kmeans", description="how codes are found: residual k-means, or an autoencoder that is trained with them"
    )
    steps: int = Field(2_000, ge=1, description="training steps of rqvae, of 1,024 items each")
    commitment: float = Field(0.25, ge=0, description="rqvae's weight of an item's distance to its codes")

    def learns_from(self) -> frozenset[Source]:
        """Vectors of titles, of a collaborative model, or both."""
        both: frozenset[Source] = frozenset({"text", "collaborative"})
        return both if self.vectors == "both" else frozenset({self.vectors})

    def requires(self) -> Mapping[str, str]:
        """A trained recommender, where its vectors are quantised."""
        return {} if self.vectors == "text" else {"collaborative": self.collaborative}


class Semantic(Identifier[SemanticOptions]):
    """Residual quantisation."""

    codes: Codes

    def learn(self, split: Split, vectors: Mapping[str, Vectors], fit: Fit) -> FitReport:
        """Quantise the vectors; reports how many codes are used, how many items collide, and the remaining error."""
        import numpy as np

        wanted = ("text", "collaborative") if self.options.vectors == "both" else (self.options.vectors,)
        titles = split.catalog.titles
        table = np.concatenate(
            [standardised(vectors[name] if name in vectors else word_vectors(titles)) for name in wanted], axis=1
        )
        size = min(self.options.codes or (CODES if len(titles) > FEW_ITEMS else FEW_CODES), len(titles))
        fit.reporter.begin(f"{self.options.levels} levels of {size} codes for {len(titles):,} items")
        if self.options.method == "kmeans":
            found, left = residual_kmeans(table, self.options.levels, size, fit.seed)
        else:
            from recbench_plugins.identifiers.semantic.rqvae import trained_codes

            o = self.options
            found, left = trained_codes(table, o.levels, size, o.steps, o.commitment, fit)
        self.codes = told_apart(found)
        return FitReport(watched=report(found, table, left, size))

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """[items, levels] codes."""
        return {"codes": self.codes}

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Restore the codes."""
        self.codes = state["codes"]

    def names(self, catalog: Catalog) -> Names:
        """``<a_12><b_3><c_200>``."""
        rows = [[f"<{chr(ord('a') + level)}_{code}>" for level, code in enumerate(row)] for row in self.codes.tolist()]
        tokens = sorted({(t[1], int(t[3:-1]), t) for row in rows for t in row})
        return Names(tuple(map("".join, rows)), tuple(token for _, _, token in tokens))


def standardised(vectors: Vectors) -> Vectors:
    """Vectors with mean 0 and, on average, length 1, so that two kinds of them have equal weight."""
    import numpy as np

    centred = vectors - vectors.mean(axis=0)
    length = float(np.sqrt((centred**2).sum(axis=1).mean()))
    return np.asarray(centred / (length if length > 0 else 1.0), np.float32)


def word_vectors(titles: Sequence[str]) -> Vectors:
    """[titles, at most 64] latent semantic analysis: TF-IDF of the words, reduced by an SVD, scaled to length 1."""
    import numpy as np
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.preprocessing import normalize

    weights = TfidfVectorizer(token_pattern=r"(?u)\w+|\S+", sublinear_tf=True).fit_transform(titles)
    kept = min(WORDS, min(weights.shape) - 1)
    table = TruncatedSVD(kept, random_state=0).fit_transform(weights) if kept > 0 else weights.toarray()
    return np.asarray(normalize(table), np.float32)


def residual_kmeans(vectors: Vectors, levels: int, size: int, seed: int) -> tuple[Codes, Vectors]:
    """[items, levels] codes, each level's by k-means on the residuals of the level before; and the last residuals."""
    import warnings

    import numpy as np
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    from recbench.seeds import child_seed

    left, codes = vectors.astype(np.float64), []
    for level in range(levels):
        state = child_seed(seed, f"codes of level {level}")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # fewer different vectors than codes
            found = KMeans(size, n_init=1, random_state=state).fit(left)
        codes.append(found.labels_)
        left = left - found.cluster_centers_[found.labels_]
    return np.stack(codes, axis=1).astype(np.int32), left.astype(np.float32)


def told_apart(codes: Codes) -> Codes:
    """Codes with one more column that numbers items of equal codes; unchanged if no two items agree."""
    import numpy as np

    _, group = np.unique(codes, axis=0, return_inverse=True)
    group = group.ravel()  # NumPy 2.0 alone gives a column
    order = np.argsort(group, kind="stable")
    place = np.arange(len(codes)) - np.searchsorted(group[order], group[order])
    if not place.any():
        return codes
    column = np.empty(len(codes), np.int32)
    column[order] = place
    return np.concatenate([codes, column[:, None]], axis=1)


def report(codes: Codes, vectors: Vectors, left: Vectors, size: int) -> dict[str, float]:
    """Shares of codes used, by level; of items that share all codes with another; of the vectors' variance left."""
    import numpy as np

    groups = np.unique(codes, axis=0, return_counts=True)[1]
    said = {f"codes_used_{n + 1}": len(np.unique(column)) / size for n, column in enumerate(codes.T)}
    variance = float((vectors.astype(np.float64) ** 2).sum())
    return {
        **said,
        "colliding_items": float(groups[groups > 1].sum() / len(codes)),
        "most_alike": float(groups.max()),
        "error_left": float((left.astype(np.float64) ** 2).sum() / variance) if variance else 0.0,
    }


plugin = IdentifierPlugin(
    implementation=Semantic,
    summary="codes of residual quantisation, from coarse to fine (TIGER, LC-Rec)",
    options=SemanticOptions,
    paper="Rajput et al., TIGER, NeurIPS 2023. https://arxiv.org/abs/2305.05065",
    extra="recbench-toolkit[identifiers]",
)
