"""The report as a browser's parser sees it."""

from html.parser import HTMLParser


class Page(HTMLParser):
    """Tags that were seen and that are still open, sources of pictures, targets of links."""

    def __init__(self, text):
        super().__init__()
        self.open, self.seen, self.sources, self.links = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        self.sources += [value for key, value in attrs if key == "src"]
        self.links += [value for key, value in attrs if key == "href"]
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
