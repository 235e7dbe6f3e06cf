"""The page as a reader meets it: opened from disk in Chromium."""

import pytest
from msgspec.structs import replace

from harness.report import write
from harness.spec.recipe import GlobalNorm, NoClip, Recipe
from harness.spec.spellings import averaged_momentum
from harness.store import Record, Store

VIEWS = [(width, theme) for width in (390, 1280) for theme in ("light", "dark")]


@pytest.fixture(params=VIEWS, ids=[f"{width}-{theme}" for width, theme in VIEWS])
def view(request, browser, report):
    browser.open(report / "report.html", *request.param)
    return browser


def test_nothing_is_fetched_and_nothing_goes_wrong(view):
    asked = [e["params"]["request"]["url"] for e in view.events if e.get("method") == "Network.requestWillBeSent"]
    fetched = [url for url in asked if not url.startswith("data:")]
    assert len(fetched) == 1 and fetched[0].startswith("file://") and fetched[0].endswith("report.html")
    wrong = [e for e in view.events if e.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded")]
    assert wrong == []


def test_the_page_fits_its_window_and_only_tables_scroll(view):
    assert view.run("document.documentElement.scrollWidth <= innerWidth")
    outside = """[...document.querySelectorAll('body *')].filter(e => !e.closest('.scroll, svg, details:not([open])')
        && e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML.slice(0, 80))"""
    assert view.run(outside) == []


def test_drawings_stay_inside_their_boxes(view):
    cut = """[...document.querySelectorAll('.panel svg')].filter(s => s.closest('details:not([open])') === null)
        .flatMap(s => [...s.querySelectorAll('text')].filter(t => {
            const a = t.getBoundingClientRect(), b = s.getBoundingClientRect();
            return a.left < b.left - 3 || a.right > b.right + 3 || a.bottom > b.bottom + 3;
        }).map(t => t.textContent))"""
    assert view.run(cut) == []


def test_text_contrasts_with_the_page(view):
    """WCAG's ratio of 4.5 for every colour that text is set in, 3 for what is drawn."""
    ratio = """(names => {
        const style = getComputedStyle(document.documentElement);
        const light = hex => [1, 3, 5].map(i => parseInt(hex.slice(i, i + 2), 16) / 255)
            .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
            .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
        const value = name => light(style.getPropertyValue('--' + name).trim());
        const paper = value('paper');
        return Object.fromEntries(names.map(name => {
            const [a, b] = [value(name), paper].sort((x, y) => y - x);
            return [name, (a + 0.05) / (b + 0.05)];
        }));
    })(%s)"""
    text = view.run(ratio % '["ink", "ink-2", "accent", "good", "bad"]')
    drawn = view.run(ratio % str([f"s{i}" for i in range(10)]))
    assert {name: value for name, value in text.items() if value < 4.5} == {}
    assert {name: value for name, value in drawn.items() if value < 3} == {}


COLUMN = """[...document.querySelector('#convergence-0-metric table').tBodies[0].rows]
    .map(row => [row.cells[1].dataset.order, row.cells[0].textContent])"""
HEAD = "document.querySelectorAll('#convergence-0-metric tr.heads th')[1]"


def numbers(browser):
    return [float(order) for order, _ in browser.run(COLUMN)]


def test_tables_sort_by_click_and_by_keyboard(browser, report):
    browser.open(report / "report.html", 1280, "light")
    before = browser.run(COLUMN)
    assert browser.run(f"{HEAD}.getAttribute('aria-sort')") == "none"
    browser.run(f"{HEAD}.querySelector('button').click()")
    assert browser.run(f"{HEAD}.getAttribute('aria-sort')") == "ascending"
    assert numbers(browser) == sorted(numbers(browser))
    assert sorted(map(str, browser.run(COLUMN))) == sorted(map(str, before))  # rows stay whole
    browser.run(f"{HEAD}.querySelector('button').focus()")
    for kind in ("keyDown", "keyUp"):
        browser.call(
            "Input.dispatchKeyEvent", type=kind, key="Enter", code="Enter", windowsVirtualKeyCode=13, text="\r"
        )
    assert browser.run(f"{HEAD}.getAttribute('aria-sort')") == "descending"
    assert numbers(browser) == sorted(numbers(browser), reverse=True)
    others = "[...document.querySelectorAll('#convergence-0-metric [aria-sort]')].map(e => e.getAttribute('aria-sort'))"
    assert browser.run(others).count("none") == len(browser.run(others)) - 1


def test_diverged_runs_sort_behind_the_worst_number(browser, report):
    browser.open(report / "report.html", 1280, "light")
    browser.run(f"{HEAD}.querySelector('button').click()")
    assert "1e+08" in browser.run(COLUMN)[0][1]  # an accuracy that was lost is lower than any


def test_what_is_folded_away_is_printed(browser, report):
    browser.open(report / "report.html", 1280, "light")
    closed = "document.querySelectorAll('details:not([open])').length"
    folded = browser.run(closed)
    assert folded > 0
    browser.run("dispatchEvent(new Event('beforeprint'))")
    assert browser.run(closed) == 0
    browser.run("dispatchEvent(new Event('afterprint'))")
    assert browser.run(closed) == folded
    browser.call("Emulation.setEmulatedMedia", media="print")
    assert browser.run(
        "[...document.querySelectorAll('nav, .scroll')].every(e => getComputedStyle(e).overflowX === 'visible')"
    )


def test_every_drawing_and_table_is_named(browser, report):
    browser.open(report / "report.html", 1280, "light")
    assert browser.run("document.querySelectorAll('.panel svg').length") > 8
    assert browser.run("[...document.querySelectorAll('svg')].every(s => s.querySelector('title').textContent)")
    assert browser.run("[...document.querySelectorAll('table')].every(t => t.caption.textContent.trim())")
    assert browser.run("[...document.querySelectorAll('thead th, tbody th')].every(h => h.scope)")
    ids = browser.run("[...document.querySelectorAll('[id]')].map(e => e.id)")
    assert len(ids) == len(set(ids))
    labels = browser.run(
        "[...document.querySelectorAll('[aria-labelledby]')].map(e => e.getAttribute('aria-labelledby'))"
    )
    assert set(labels) <= set(ids)


SHOWN = "[...document.querySelectorAll('.scroll')].filter(e => e.closest('details:not([open])') === null)"


@pytest.fixture(scope="module")
def broad(small_run, tmp_path_factory):
    """A page with four backends and long names: its training runs are those of one backend under all names."""
    folder = tmp_path_factory.mktemp("broad")
    recipe = Recipe(averaged_momentum(lr=0.1), GlobalNorm())
    with Store.create(folder / "run", {"study": None}) as store:
        for record in Store.open(small_run).records():
            cell = record.job.cell
            if (
                cell.backend == "numpy"
                and cell.problem.spelling() == "network"
                and isinstance(cell.recipe.clip, NoClip)
            ):
                for backend in ("numpy", "torch", "tensorflow", "jax"):
                    for pieces in (cell.recipe, replace(recipe, optimizer=averaged_momentum(cell.recipe.optimizer.lr))):
                        job = replace(record.job, cell=replace(cell, backend=backend, recipe=pieces))
                        store.write(Record(job, record.status, "", record.plan, record.facts, record.table))
    return write([folder / "run"], folder)


def test_four_backends_fit_a_desktop(browser, broad):
    browser.open(broad, 1280, "light")
    cut = f"{SHOWN}.filter(e => e.scrollWidth > e.clientWidth).map(e => e.ariaLabel)"
    assert browser.run(f"{SHOWN}.length") > 5
    assert browser.run(cut) == []


def test_names_stay_in_their_column_on_a_phone_and_a_cut_table_says_so(browser, broad):
    browser.open(broad, 390, "light")
    over = """[...document.querySelectorAll('.scroll tbody tr > :first-child')].filter(e => e.offsetWidth)
        .filter(e => e.scrollWidth > e.clientWidth + 1).map(e => e.textContent)"""
    assert browser.run(over) == []
    hints = "[e.classList.contains('more'), getComputedStyle(e.previousElementSibling).display]"
    found = browser.run(f"{SHOWN}.filter(e => e.scrollWidth > e.clientWidth + 1).map(e => {hints})")
    assert len(found) > 3 and all(hint == [True, "block"] for hint in found)
