"""The wall of guesses, in a real browser: some taken out, the rest accepted, and looks at some."""

from dataclasses import replace

from desk import QUICK, Desk, tiles
from playwright.sync_api import expect
from tabs import settled
from waiting import until

from al_core.experiment.experiment import Experiment, open_experiment
from al_core.store.records import TAKEN_OUT


def test_guesses_are_accepted_but_for_those_taken_out_and_looked_at_in_the_next_batch(
    desk: Desk,
) -> None:
    number = desk.start_trained(replace(QUICK, show_guesses=True, look_share=0.5))

    def now() -> Experiment:
        return open_experiment(desk.store, number, with_reasons=True)

    page = desk.open(number, "&view=Accept")
    expect(page.get_by_text("look at its guesses many at once")).to_be_visible()
    slider = page.get_by_role("slider", name="At least so sure, %")
    slider.press("Home")  # all that the model takes for this class
    settled(page)
    shown = page.get_by_test_id("tile")
    until(lambda: shown.count() >= 6)
    count = shown.count()
    first, second, third = (int(shown.nth(i).get_attribute("data-image")) for i in range(3))
    shown.nth(0).click()
    expect(shown.nth(0)).to_have_attribute("data-skipped", "true")
    shown.nth(0).click()  # it does belong there
    expect(shown.nth(0)).not_to_have_attribute("data-skipped", "true")
    shown.nth(1).click()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("3")
    expect(page.get_by_text(f"{count} shown, 2 of them left out")).to_be_visible()
    expect(page.get_by_text("Saved", exact=True)).to_be_visible()
    rows = {(a.image, a.label, a.cleared, a.reason) for a in now().annotations}
    assert {(second, None, True, TAKEN_OUT), (third, 3, False, None)} <= rows

    page.get_by_role("button", name="Accept as").click()
    expect(page.get_by_text("nobody has looked at any yet")).to_be_visible()
    accepted = now().accepted.labels
    assert len(accepted) == count - 2
    assert first in accepted
    assert not {second, third} & accepted.keys()
    assert second in now().free_images  # it is asked about like any other
    assert {now().accepted.who[i].annotator for i in accepted} == {"me"}

    page.get_by_role("radio", name="Label").click()
    expect(page.get_by_text("0 of 9 labelled")).to_be_visible()
    tiles(page, 9)
    audits = now().open_batch.audits
    assert len(audits) == 3
    # Though guesses are shown: a look would be told from the others by having none.
    assert not any(tile.locator(".guess").inner_text() for tile in shown.all())
    place = now().open_batch.images.index(audits[0])
    page.get_by_test_id("tile").nth(place).click()
    page.keyboard.press("w")
    expect(page.get_by_text("Drawn at random.")).to_be_visible()
    page.keyboard.press("9")
    until(lambda: audits[0] in now().pool.answers)

    page.get_by_role("radio", name="Accept").click()
    expect(page.get_by_text("3 looks at them")).to_contain_text("2 not answered yet")
    page.get_by_role("button", name="Take back").click()
    expect(page.get_by_text("look at its guesses many at once")).to_be_visible()
    assert not now().accepted.labels
