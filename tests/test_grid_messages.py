"""What the grid sends to a browser and takes from one, without a browser."""

from al_desk.routes.events import ANY, HAND_IN, GridEvent, parse_events

GOOD = [[7, 1, 5]]
NO_STATES = [None, 17, "events", [], {}, {"mount": "a"}, {"mount": "a", "events": GOOD}]
NO_MOUNTS = [None, 1, "", "../a", "a" * 65]
NO_FIRSTS = [None, "0", -1, 0.5, 10**12]
NO_EVENTS = [
    None,
    {"0": [7, 1, 5]},
    [None, 3, "row", [], [7], [7, 1], [7, 1, 5, 5]],
    [["7", 1, 5], [7.0, 1, 5], [7, True, 5], [7, 1, None]],
    [[8, 1, 5], [7, 2, 5], [7, -4, 5], [-1, 1, 5], [-1, -5, 5], [7, 1, -1]],
]


def test_what_no_grid_would_send_is_ignored():
    states = NO_STATES + [{"mount": m, "first": 0, "events": GOOD} for m in NO_MOUNTS]
    states += [{"mount": "a", "first": first, "events": GOOD} for first in NO_FIRSTS]
    states += [{"mount": "a", "first": 0, "events": events} for events in NO_EVENTS]
    assert [parse_events(state, {7}, classes=2)[1] for state in states] == [[]] * len(states)


def test_an_event_keeps_its_number_when_one_before_it_is_ignored():
    rows = [[99, 0, 5], [7, 1, 250], [7, -1, 10**30], [ANY, HAND_IN, 9]]
    count, events = parse_events({"mount": "a", "first": 4, "events": rows}, {7}, classes=2)
    assert count == 8
    assert events == [
        GridEvent("a:5", 7, 1, 250),
        GridEvent("a:6", 7, -1, 24 * 60 * 60 * 1000),
        GridEvent("a:7", ANY, HAND_IN, 9),
    ]
