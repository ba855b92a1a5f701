"""Canaille with three people and one client, over TLS, in memory."""

import asyncio
import sys

from canaille import create_app
from canaille.app import models
from canaille.backends import Backend
from hypercorn.asyncio import serve
from hypercorn.config import Config
from joserfc.jwk import RSAKey

port, back, password, secret = sys.argv[1:]
key = RSAKey.generate_key(2048)
key.ensure_kid()
app = create_app({
    'SECRET_KEY': 'of one test', 'SERVER_NAME': f'127.0.0.1:{port}', 'PREFERRED_URL_SCHEME': 'https',
    'CANAILLE': {'DATABASE': 'memory', 'JAVASCRIPT': False, 'HTMX': False},
    'CANAILLE_OIDC': {'ACTIVE_JWKS': [{name: value for name, value in key.as_dict(private=True).items() if isinstance(value, str)}]},
})


def kept(what):
    Backend.instance.save(what)
    return what


with app.app_context():
    people = {name: kept(models.User(user_name=name, family_name=name, emails=[f'{name}@example.jp'], password=password)) for name in ('ito', 'sato', 'yamada')}
    kept(models.Group(display_name='staff', members=[people['ito'], people['sato']]))
    client = kept(models.Client(
        client_id='tegata', client_name='Tegata', client_secret=secret, redirect_uris=[back], scope=['openid', 'profile', 'groups'],
        grant_types=['authorization_code'], response_types=['code'], token_endpoint_auth_method='client_secret_basic',
    ))
    client.audience = [client]
    kept(client)

config = Config()
config.bind, config.certfile, config.keyfile = [f'127.0.0.1:{port}'], 'tls.pem', 'tls.key'
asyncio.run(serve(app, config))
