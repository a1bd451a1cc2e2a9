// A certified OpenID Connect provider with people who sign in by form, for the
// tests of external sign-in. Its whole configuration comes on standard input
// as JSON; the first line of its standard output is its issuer.
import { createServer } from 'node:https';
import { text } from 'node:stream/consumers';
import Provider from 'oidc-provider';

const config = JSON.parse(await text(process.stdin));
const server = createServer({ cert: config.cert, key: config.key });
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
const issuer = `https://localhost:${server.address().port}`;

const provider = new Provider(issuer, {
  clients: config.clients,
  claims: { openid: ['sub', 'amr'], email: ['email', 'email_verified'], auth_time: null },
  conformIdTokenClaims: config.conform,
  features: { devInteractions: { enabled: false } },
  cookies: { keys: ['only a test'] },
  interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
  findAccount: (_, id) => {
    const person = config.people.find((p) => p.sub === id);
    return person && { accountId: id, claims: () => ({ sub: id, email: person.email, email_verified: person.verified }) };
  },
  // Nobody is asked what the client may see.
  loadExistingGrant: async (ctx) => {
    const grant = new ctx.oidc.provider.Grant({ clientId: ctx.oidc.client.clientId, accountId: ctx.oidc.session.accountId });
    grant.addOIDCScope('openid email');
    await grant.save();
    return grant;
  },
});

const page = (uid, hint) => `<!doctype html><html lang="en"><title>Northwind sign-in</title><body><h1>Northwind sign-in</h1>
<form method="post" action="/interaction/${uid}"><p><label>Address <input name="login" value="${hint}"></label>
<p><label>Password <input name="password" type="password"></label><p><label>Code <input name="otp"></label>
<p><button>Sign in</button> <button name="abort" value="yes">Cancel</button></form>`;
const escaped = (s) => s.replace(/[^\w@.-]/g, (c) => `&#${c.codePointAt(0)};`);

provider.use(async (ctx, next) => {
  const uid = /^\/interaction\/([\w-]+)$/.exec(ctx.path)?.[1];
  if (!uid) return next();
  const details = await provider.interactionDetails(ctx.req, ctx.res);
  if (ctx.method === 'GET') {
    ctx.type = 'html';
    ctx.body = page(uid, escaped(details.params.login_hint ?? ''));
    return;
  }
  const form = new URLSearchParams(await text(ctx.req));
  const person = config.people.find((p) => p.login === form.get('login') && p.password === form.get('password'));
  let result = { error: 'access_denied', error_description: 'the person went away' };
  if (person && !form.has('abort')) {
    result = { login: { accountId: person.sub, amr: form.get('otp') ? ['pwd', 'otp', 'mfa'] : ['pwd'] } };
  }
  await provider.interactionFinished(ctx.req, ctx.res, result, { mergeWithLastSubmission: false });
  ctx.respond = false;
});

server.on('request', provider.callback());
console.log(issuer);
process.stderr.on('error', () => {});
