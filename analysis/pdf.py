"""The report as PDF, made from the very HTML that is the report; WeasyPrint lays it out by the page's own print style.

The one thing to know: nothing is fetched. The page is self-contained, and whatever it might ask for is refused. The
same page gives the same bytes where HarfBuzz-Subset is installed, as drivers/packages.txt has it.
"""

from __future__ import annotations

import warnings

from harness.errors import InputError


def made(html: str) -> bytes:
    """Return a PDF of a page; the same page gives the same bytes. InputError where WeasyPrint is not installed."""
    try:
        with warnings.catch_warnings():     # it warns of libraries that its future versions will ask for
            warnings.simplefilter("ignore")
            import weasyprint
    except (ImportError, OSError) as error:      # OSError: it is there, and Pango is not
        raise InputError(f"--pdf: WeasyPrint cannot be loaded ({str(error).splitlines()[0]}); run: pip install "
                         "'virtmark[pdf]' and apt-get install libpango-1.0-0 libpangoft2-1.0-0") from None
    document = weasyprint.HTML(string=html, url_fetcher=weasyprint.urls.URLFetcher(allowed_protocols=()))
    found: bytes = document.write_pdf(pdf_identifier=b"virtmark")
    return found


__all__ = ["made"]
