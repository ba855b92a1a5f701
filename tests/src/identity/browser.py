"""Signs in as a browser does: follows redirects, keeps cookies, fills the provider's forms in. Prints the address that the provider sends it back to."""

import html.parser
import ssl
import sys
import urllib.parse

import httpx


class Form(html.parser.HTMLParser):
    """The fields and buttons of a page's last form."""

    def __init__(self, page):
        super().__init__()
        self.fields, self.buttons, self.action = {}, [], ''
        self.feed(page)

    def handle_starttag(self, tag, found):
        found = dict(found)
        if tag == 'form':
            self.fields, self.buttons, self.action = {}, [], found.get('action') or ''
        elif tag == 'input' and found.get('name'):
            self.fields[found['name']] = found.get('value') or ''
        elif tag == 'button' and found.get('name'):
            self.buttons.append((found['name'], found.get('value') or ''))


address, user, password, answer_to_consent = sys.argv[1:]
web = httpx.Client(verify=ssl.create_default_context(cafile='tls.pem'), timeout=60)
page = web.get(address)
for _ in range(12):
    if page.is_redirect:
        place = urllib.parse.urljoin(str(page.url), page.headers['location'])
        if place.startswith('http://'):
            print(place)
            break
        page = web.get(place)
        continue
    form = Form(page.text)
    known = {'login': user, 'password': password}
    fields = {name: known.get(name, value) for name, value in form.fields.items()}
    fields.update(button for button in form.buttons if button[1] == answer_to_consent)
    page = web.post(urllib.parse.urljoin(str(page.url), form.action), data=fields, headers={'Referer': str(page.url)})
else:
    sys.exit('the provider does not come to an end:\n' + page.text)
