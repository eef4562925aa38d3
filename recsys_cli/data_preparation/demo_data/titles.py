"""Generate titles for the demo's catalogue: readable and all different."""

import numpy as np

_ADJECTIVES = """
Amber Ancient Bitter Blue Borrowed Bright Broken Burning Careless Clever Cold Crimson Crooked Dancing
Distant Drifting Early Electric Empty Endless Faithful Falling Fearless Final Forgotten Fragile Frozen
Gentle Golden Grey Hidden Hollow Honest Hungry Invisible Iron Last Late Little Lonely Lost Lucky Midnight
Missing Modern Narrow Nameless Northern Open Paper Patient Perfect Proud Quiet Restless Scarlet Second
Secret Seventh Silent Silver Sleeping Sudden Tender Thirsty Unlikely Velvet Wandering Wild Winter Wooden
""".split()
_NOUNS = """
Actress Alibi Anchor Archive Artist Baker Balcony Ballad Bargain Bicycle Bridge Captain Cartographer
Chapel Circus Clock Colony Compass Concert Courier Cousin Detective Diary Doctor Dragon Editor Engine
Escape Exile Falcon Family Ferry Fiddler Forest Fortune Fox Garden Gambler Ghost Guest Harbour Heir Hotel
Island Journey Judge Kingdom Kitchen Lantern Legend Letter Lighthouse Map Market Mechanic Melody Mirror
Monument Mountain Museum Neighbour Night Oath Orchard Orchestra Painter Passenger Pilot Prophecy Quarrel
Railway Recipe Referee Reporter River Robot Rumour Sailor Season Shadow Signal Sister Station Stranger
Summer Swindle Tailor Teacher Tournament Train Violin Voyage Waltz Wedding Witness
""".split()
_PLACES = """
Alder Amberfield Arden Ashport Avalon Belmora Blackwater Brightsea Calder Castlemere Cinder Corvale
Dunmore Eastmarch Elmstead Emberly Fairhaven Farrow Galloway Glasswick Greyhollow Halden Harrowgate
Highmoor Ironbridge Juniper Kestrel Lakeside Larkspur Lindenau Longshore Marlow Mirefield Montclair
Nightford Norwood Oakhurst Orlova Pinecrest Queensbury Ravenna Redcliff Rosemere Saltmarsh Silverton
Solano Southgate Stonewell Sunderby Thornbury Tidewater Umber Valmont Vesper Waverly Westerly Willowbrook
Windermoor Yarrow Zelena
""".split()
_NAMES = """
Ada Agnes Albert Anton Bella Boris Carla Cyril Dara Diego Edith Elias Emil Fatima Felix Flora Greta
Gustav Hana Hugo Ines Ivan Jasper Julia Karim Klara Leo Lina Magnus Marta Mila Nadia Nikolai Nora Olga
Omar Oscar Paula Pavel Petra Rafael Rosa Sasha Selma Simon Sofia Tamara Theo Vera Viktor
""".split()


def invent_titles(count: int, rng: np.random.Generator) -> list[str]:
    """Return `count` different titles in random order; numbers are added when the combinations run out."""
    titles = [f"The {adjective} {noun}" for adjective in _ADJECTIVES for noun in _NOUNS]
    titles += [f"The {noun} of {place}" for noun in _NOUNS for place in _PLACES]
    titles += [f"{name}'s {noun}" for name in _NAMES for noun in _NOUNS]
    chosen = rng.permutation(len(titles))
    return [_sequel(titles[chosen[n % len(titles)]], n // len(titles) + 1) for n in range(count)]


def _sequel(title: str, number: int) -> str:
    return title if number == 1 else f"{title} {number}"
