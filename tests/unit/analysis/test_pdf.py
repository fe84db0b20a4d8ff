"""A page as PDF: the same bytes each time, and nothing of the world in it."""

from analysis import pdf


def test_the_same_page_gives_the_same_pdf():
    page = "<!doctype html><html><body><h1>Title</h1><p>Text.</p></body></html>"
    assert pdf.made(page) == pdf.made(page)


def test_a_pdf_fetches_nothing(tmp_path):
    (tmp_path / "style.css").write_text("p { display: none }")
    page = '<!doctype html><html><head>{}</head><body><p>Text.</p></body></html>'
    link = f'<link rel="stylesheet" href="{(tmp_path / "style.css").as_uri()}">'
    assert pdf.made(page.format(link)) == pdf.made(page.format(""))
