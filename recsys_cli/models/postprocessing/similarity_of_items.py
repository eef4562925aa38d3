"""stub until helper D is done"""
from recsys_cli.models.candidates.sources.content import item_vectors
from recsys_cli.models.postprocessing.item_similarity import ItemSimilarity


def item_similarity(name, stage, features):
    return ItemSimilarity.of_tokens(item_vectors(features))
