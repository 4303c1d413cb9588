import { type Ask, besiegeApi } from "./api_siege.ts";
import { SECRETS } from "./world.ts";

const { attempt, tokens, ask, refusal, raw, rawGet, refused, as } = besiegeApi();

attempt(
  "anonymous: reads and changes without a token",
  refused(
    [401],
    ["GET", "/v1/tenants"],
    ["GET", "/v1/audit"],
    ["GET", "/metrics"],
    ["PUT", "/v1/tenants/evil", { body: {} }],
    ["DELETE", "/v1/tenants/acme", { headers: { "if-match": "*" } }],
    ["POST", "/v1/tokens", { body: { name: "evil", role: "operator" } }],
  ),
);
attempt(
  "anonymous: guesses a token",
  refused(
    [401],
    ["GET", "/v1/tenants", { token: "lm_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" }],
    ["GET", "/v1/tenants", { token: `lmt_000000000000_${"a".repeat(43)}` }],
  ),
);
attempt("anonymous: puts the token elsewhere than in Authorization", async (by, there) => {
  const { token } = there.at("berlin").site;
  const places: Ask[] = [
    { headers: { authorization: `Basic ${Buffer.from(`admin:${token}`).toString("base64")}` } },
    { headers: { authorization: token } },
    { headers: { "x-api-key": token, "x-auth-token": token } },
    { headers: { cookie: `token=${token}; authorization=Bearer ${token}` } },
    { headers: { "proxy-authorization": `Bearer ${token}` } },
  ];
  const said: string[] = [];
  for (const place of places) said.push(await refusal(by, await ask("GET", "/v1/tenants", place), 401));
  return said.join();
});
attempt("anonymous: puts a good token into the URL", async (by, there) => {
  const { token } = there.at("berlin").site;
  const said = [
    await refusal(by, await ask("GET", `/v1/tenants?access_token=${token}`), 401),
    await refusal(by, await ask("GET", `/v1/tenants?token=${token}`, { token }), 401),
  ];
  if (said.join().includes(token)) throw new Error("The token is in the answer");
  return said.join();
});
attempt(
  "anonymous: uses a token that has expired",
  as("expired", [401], ["GET", "/v1/tenants"], ["POST", "/v1/apply"]),
);
attempt(
  "anonymous: uses a token that was revoked",
  as("revoked", [401], ["GET", "/v1/tenants"], ["POST", "/v1/apply"]),
);
attempt(
  "peer site: uses the token of its own API",
  as("other", [401], ["GET", "/v1/tenants"], ["POST", "/v1/apply"]),
);
attempt("viewer: puts the secret of its token behind the id of another", async (by) => {
  const token = tokens.acme.slice(0, 17) + tokens.viewer.slice(17);
  return await refusal(by, await ask("GET", "/v1/tenants/acme", { token }), 401);
});
attempt("anonymous: signs a token of its own", async (by) => {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const claims = part({ sub: "root", role: "operator", roles: ["operator"], exp: 9_999_999_999 });
  const token = `${part({ alg: "none", typ: "JWT", kid: "x" })}.${claims}.AA`;
  return await refusal(by, await ask("GET", "/v1/tenants", { token }), 401);
});
attempt("anonymous: reads why the site is not ready", async (by) => {
  const response = await ask("GET", "/readyz");
  const text = await response.text();
  by.unrevealed(text);
  if (/acme|globex|initech|MESH/.test(text)) throw new Error(text);
  return `only ${text}`;
});

// ── tenants of others ──

attempt("tenant-admin: asks for another tenant, and for one that is not there", async (by) => {
  const token = tokens.globex;
  const same = async (method: string, path: (tenant: string) => string, body?: unknown) => {
    const how = body === undefined ? { token } : { token, body };
    const there = await refusal(by, await ask(method, path("acme"), how), 404);
    const nowhere = await refusal(by, await ask(method, path("nobody"), how), 404);
    if (there.replaceAll("acme", "nobody") !== nowhere) throw new Error(`${there} differs from ${nowhere}`);
    return there;
  };
  return [
    await same("GET", (tenant) => `/v1/tenants/${tenant}`),
    await same("HEAD", (tenant) => `/v1/tenants/${tenant}`),
    await same("PUT", (tenant) => `/v1/tenants/${tenant}`, {}),
    await same("DELETE", (tenant) => `/v1/tenants/${tenant}`),
    await same("GET", (tenant) => `/v1/tenants/${tenant}/exports/orders`),
    await same("PUT", (tenant) => `/v1/tenants/${tenant}/exports/orders`, { to: ["tokyo"], rules: [] }),
    await same("GET", (tenant) => `/v1/tenants/${tenant}/dlq/1?payload=true`),
    await same("POST", (tenant) => `/v1/tenants/${tenant}/dlq/drop`, { all: true }),
    await same("POST", (tenant) => `/v1/tenants/${tenant}/keys/pseudonym`),
    await same("POST", (tenant) => `/v1/tenants/${tenant}/explain`, { subject: "acme.orders.1" }),
    await refusal(by, await ask("POST", "/v1/explain", { token, body: { subject: "acme.orders.1" } }), 404),
  ].join("\n");
});
attempt("tenant-admin: looks for other tenants in all that lists something", async (by) => {
  const said: string[] = [];
  for (const path of [
    "/v1/tenants",
    "/v1/links",
    "/v1/plan",
    "/v1/lint",
    "/v1/site",
    "/v1/whoami",
    "/readyz",
  ]) {
    const text = await (await ask("GET", path, { token: tokens.globex })).text();
    by.unrevealed(text, [SECRETS.local, SECRETS.email, SECRETS.initech]);
    if (/acme|initech/.test(text)) throw new Error(`${path}: ${text}`);
    said.push(`${path} ${text.length}`);
  }
  return `nothing in ${said.join()}`;
});
attempt(
  "tenant-admin: reads what is the whole site's",
  as(
    "globex",
    [403],
    ["GET", "/metrics"],
    ["GET", "/v1/peers"],
    ["GET", "/v1/peers/tokyo"],
    ["GET", "/v1/tokens"],
    ["GET", "/v1/audit"],
    ["GET", "/v1/audit/export"],
  ),
);
attempt(
  "tenant-admin: changes what is the whole site's",
  as(
    "globex",
    [403],
    ["POST", "/v1/apply"],
    ["PUT", "/v1/peers/evil", { body: { key: "U" } }],
    ["DELETE", "/v1/peers/tokyo", { headers: { "if-match": "*" } }],
    ["DELETE", "/v1/tenants/globex", { headers: { "if-match": "*" } }],
  ),
);
attempt(
  "tenant-admin: makes itself an operator",
  as(
    "globex",
    [403],
    ["POST", "/v1/tokens", { body: { name: "evil", role: "operator" } }],
    ["POST", "/v1/tokens/bootstrap/rotate"],
    ["DELETE", `/v1/tokens/000000000000`],
  ),
);
attempt("tenant-admin: widens its own limits", async (by) => {
  const headers = { "if-match": "*" };
  const token = tokens.globex;
  const { users } = (await (await ask("GET", "/v1/tenants/globex", { token })).json()) as { users: unknown };
  const put = (more: object) =>
    ask("PUT", "/v1/tenants/globex", { token, headers, body: { users, ...more } });
  return [
    await refusal(by, await put({ limits: { storage: "1TiB" } }), 403),
    await refusal(by, await put({ dedupe: { window: "24h" } }), 403),
    await refusal(by, await put({ log: false }), 403),
  ].join("\n");
});
attempt("tenant-admin: exports the subjects of another tenant", async (by) => {
  const body = { to: ["tokyo"], rules: [{ subjects: ["acme.>"] }] };
  return await refusal(
    by,
    await ask("PUT", "/v1/tenants/globex/exports/steal", { token: tokens.globex, body }),
    422,
  );
});
attempt("tenant-admin: takes the key of another tenant's user, to learn whose it is", async (by, there) => {
  const { site } = there.at("berlin");
  const token = tokens.globex;
  const { users } = (await (await ask("GET", "/v1/tenants/globex", { token })).json()) as { users: object[] };
  const key = site.appKey("acme").publicKey;
  const body = { users: [...users, { name: "spy", key }] };
  const said = await refusal(
    by,
    await ask("PUT", "/v1/tenants/globex", { token, headers: { "if-match": "*" }, body }),
    422,
  );
  if (/acme|initech|tenants\[|peers\[/.test(said)) throw new Error(said);
  return said;
});

// ── roles ──

attempt(
  "viewer: changes something",
  as(
    "viewer",
    [403],
    ["PUT", "/v1/tenants/evil", { body: {} }],
    ["DELETE", "/v1/tenants/acme", { headers: { "if-match": "*" } }],
    ["PUT", "/v1/tenants/acme/exports/evil", { body: { to: ["tokyo"], rules: [{ subjects: ["acme.>"] }] } }],
    ["POST", "/v1/tenants/acme/dlq/drop", { body: { all: true } }],
    ["POST", "/v1/apply"],
    ["POST", "/v1/tokens", { body: { name: "evil", role: "operator" } }],
  ),
);
attempt("viewer and auditor: see payloads", async (by, there) =>
  [
    await as(
      "viewer",
      [403],
      ["GET", "/v1/tenants/acme/dlq/1?payload=true"],
      ["GET", "/v1/tenants/acme/exports/orders/shadow?samples=true"],
    )(by, there),
    await as(
      "auditor",
      [403],
      ["GET", "/v1/tenants/acme/dlq/1?payload=true"],
      ["POST", "/v1/explain", { body: { subject: "acme.orders.1" } }],
    )(by, there),
    await as(
      "viewer",
      [403],
      [
        "POST",
        "/v1/tenants/acme/exports/orders/diff",
        { body: { rules: [{ subjects: ["acme.>"] }], samples: true } },
      ],
    )(by, there),
  ].join("\n"),
);
attempt(
  "auditor: changes what it audits",
  as(
    "auditor",
    [403, 404, 405],
    ["DELETE", "/v1/audit"],
    ["PUT", "/v1/audit", { body: {} }],
    ["DELETE", "/v1/tokens/000000000000"],
    ["POST", "/v1/apply"],
  ),
);

// ── paths and headers ──

attempt("tenant-admin: gets to another tenant by the way a path is written", async (by) => {
  const authorization = `Authorization: Bearer ${tokens.globex}`;
  const paths = [
    "/v1/tenants/globex%2f..%2facme",
    "/v1/tenants/globex%2F..%2Facme/exports",
    "/v1/tenants/globex/../acme",
    "/v1/tenants/globex/%2e%2e/acme",
    "/v1/tenants/globex/%252e%252e/acme",
    "/v1/tenants/globex/..%5cacme",
    "/v1/tenants/%61cme",
    "/v1/tenants/%2561cme",
    "/v1/tenants/ACME",
    "/V1/tenants/acme",
    "//v1/tenants/acme",
    "/v1//tenants/acme",
    "/v1/./tenants/acme",
    "/v1/tenants/acme/",
    "/v1/tenants/acme;globex",
    "/v1/tenants/acme%00globex",
    "/v1/tenants/acme?tenant=globex",
    "/v1/tenants/acme#globex",
    "http://127.0.0.1/v1/tenants/acme",
  ];
  const said: string[] = [];
  for (const path of paths) {
    const answer = await rawGet(path, authorization);
    by.unrevealed(answer);
    const status = /^HTTP\/1\.1 (\d+)/.exec(answer)?.[1] ?? "closed";
    if (!["400", "404", "421", "closed"].includes(status)) throw new Error(`${path}: ${answer}`);
    said.push(`${path} ${status}`);
  }
  return said.join("\n");
});
attempt("anonymous: gets past the token by the way a path is written", async (by) => {
  const paths = [
    "/v1%2ftenants",
    "/%76%31/tenants",
    "//v1/tenants",
    "/./v1/tenants",
    "/healthz/../v1/tenants",
    "/v1/tenants%3f",
    "/openapi.json/../v1/tenants",
    "/V1/TENANTS",
  ];
  const said: string[] = [];
  for (const path of paths) {
    const answer = await rawGet(path);
    by.unrevealed(answer);
    const status = /^HTTP\/1\.1 (\d+)/.exec(answer)?.[1] ?? "closed";
    if (!["400", "401", "404", "closed"].includes(status)) throw new Error(`${path}: ${answer}`);
    said.push(`${path} ${status}`);
  }
  return said.join("\n");
});
attempt("viewer: changes the method, the path or its role by a header", async (by) => {
  const token = tokens.viewer;
  const gets = [
    { "x-http-method-override": "DELETE", "x-http-method": "DELETE", "x-method-override": "DELETE" },
    { "x-role": "operator", "x-user": "bootstrap", "x-principal": '{"role":"operator"}' },
  ];
  const said: string[] = [];
  for (const headers of gets) {
    const response = await ask("GET", "/v1/tenants/acme", { token, headers });
    if (response.status !== 200) throw new Error(`${response.status}`);
    const rewritten = { ...headers, "x-original-url": "/v1/tokens", "x-rewrite-url": "/v1/tokens" };
    const whoami = await (await ask("GET", "/v1/whoami", { token, headers: rewritten })).text();
    if (!whoami.includes('"role":"viewer"')) throw new Error(whoami);
    said.push(await refusal(by, await ask("POST", "/v1/apply", { token, headers: rewritten }), 403));
  }
  const twice = `?_method=DELETE&method=DELETE`;
  said.push(await refusal(by, await ask("POST", `/v1/tenants/acme${twice}`, { token, body: {} }), 405));
  return said.join("\n");
});
attempt("viewer: sends two tokens", async (by) => {
  const answer = await rawGet(
    "/v1/tokens",
    `Authorization: Bearer ${tokens.viewer}`,
    "Authorization: Bearer lm_aaaaaaaaaaaaaaaaaaaaaaaaaaa",
  );
  by.unrevealed(answer);
  if (!/^HTTP\/1\.1 (400|401|403)/.test(answer)) throw new Error(answer);
  return answer;
});
attempt("a page in a browser: reaches the API by a host name of its own", async (by, there) => {
  const { token } = there.at("berlin").site;
  const authorization = `Authorization: Bearer ${token}`;
  const said: string[] = [];
  for (const host of ["evil.example", "127.0.0.1.evil.example:80", "localhost.evil.example"]) {
    const answer = await raw(
      `GET /v1/tenants HTTP/1.1\r\nHost: ${host}\r\n${authorization}\r\nConnection: close\r\n\r\n`,
    );
    by.unrevealed(answer);
    if (!/^HTTP\/1\.1 (421|400)/.test(answer)) throw new Error(answer);
    said.push(answer);
  }
  const preflight = await ask("OPTIONS", "/v1/tenants", {
    headers: { origin: "https://evil.example", "access-control-request-method": "PUT" },
  });
  if (preflight.ok || preflight.headers.has("access-control-allow-origin")) throw new Error("CORS");
  return said.join("\n");
});
attempt("anonymous: hides a second request in the body of the first", async (by) => {
  const inner = "GET /v1/tenants HTTP/1.1\r\nHost: localhost\r\n\r\n";
  const answer = await raw(
    `POST /v1/lint HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${tokens.viewer}\r\nContent-Type: application/json\r\nContent-Length: ${inner.length}\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n0\r\n\r\n${inner}`,
  );
  by.unrevealed(answer);
  if (/HTTP\/1\.1 200/.test(answer)) throw new Error(answer);
  return answer === "" ? "closed" : answer;
});
attempt("anonymous: writes headers of the answer by a line break in the path", async (by) => {
  const answer = await rawGet("/v1/tenants/%0d%0aX-Injected:%201", `Authorization: Bearer ${tokens.viewer}`);
  by.unrevealed(answer);
  if (/^X-Injected/im.test(answer)) throw new Error(answer);
  return answer;
});
