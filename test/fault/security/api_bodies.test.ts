/** Attempts on the API of a site by bodies: odd, huge and slow ones, writes at the same time; floods; a token that ends. */
import { expect, test } from "bun:test";
import { waitFor } from "../../support/wait_for.ts";
import { besiegeApi } from "./api_siege.ts";

const { world, judge, attempt, tokens, ask, refusal, raw, rawGet, base } = besiegeApi();

// ── bodies ──

const putGlobex = async (body: string, headers: Record<string, string> = {}) =>
  await ask("PUT", "/v1/tenants/globex", {
    token: tokens.globex,
    body,
    headers: { "if-match": "*", ...headers },
  });

attempt("tenant-admin: names a member twice", async (by) =>
  [
    await refusal(by, await putGlobex('{"tenant":"globex","tenant":"acme"}'), 400),
    await refusal(by, await putGlobex('{"log":true,"l\\u006fg":false}'), 400),
  ].join("\n"),
);
attempt("tenant-admin: names __proto__ and constructor", async (by) => {
  const bodies = [
    '{"__proto__":{"role":"operator"}}',
    '{"constructor":{"prototype":{"x":1}}}',
    '{"users":[{"__proto__":{}}]}',
  ];
  const said: string[] = [];
  for (const body of bodies) said.push(await refusal(by, await putGlobex(body), 400, 422, 403));
  if (Object.hasOwn(Object.prototype, "x")) throw new Error("polluted");
  return said.join("\n");
});
attempt("tenant-admin: nests without end", async (by) =>
  [
    await refusal(by, await putGlobex(`{"users":${"[".repeat(100_000)}${"]".repeat(100_000)}}`), 400),
    await refusal(by, await putGlobex('{"a":'.repeat(50_000)), 400),
  ].join("\n"),
);
attempt("tenant-admin: writes numbers that none can hold", async (by) =>
  [
    await refusal(by, await putGlobex('{"limits":{"storage":1e400}}'), 400, 422),
    await refusal(by, await putGlobex(`{"limits":{"storage":${"9".repeat(10_000)}}}`), 400, 422),
  ].join("\n"),
);
attempt("tenant-admin: calls its JSON something else", async (by) => {
  const said: string[] = [];
  for (const type of [
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "application/jsonx",
    "",
  ]) {
    said.push(await refusal(by, await putGlobex('{"log":false}', { "content-type": type }), 400, 415));
  }
  return said.join("\n");
});
attempt("tenant-admin: writes its tenant's document over another's", async (by) =>
  [
    await refusal(by, await putGlobex('{"tenant":"acme"}'), 400),
    await refusal(
      by,
      await ask("PUT", "/v1/tenants/acme", { token: tokens.globex, body: { tenant: "globex" } }),
      404,
    ),
  ].join("\n"),
);
attempt("tenant-admin: sends bytes that are no text", async (by) => {
  const headers = {
    authorization: `Bearer ${tokens.globex}`,
    "content-type": "application/json",
    "if-match": "*",
  };
  const send = (body: Uint8Array<ArrayBuffer>) =>
    fetch(`${base()}/v1/tenants/globex`, { method: "PUT", headers, body });
  return [
    await refusal(by, await send(new Uint8Array([0x7b, 0xff, 0xfe, 0x7d])), 400),
    await refusal(by, await send(new Uint8Array([0, 0, 0])), 400),
  ].join("\n");
});
attempt("tenant-admin: sends a body without end, with its length and without", async (by) => {
  const headers = {
    authorization: `Bearer ${tokens.globex}`,
    "content-type": "application/json",
    "if-match": "*",
  };
  const big = await putGlobex(JSON.stringify({ x: "x".repeat(2 << 20) }));
  let sent = 0;
  const body = new ReadableStream({
    pull(controller) {
      sent += 65_536;
      if (sent > 8 << 20) controller.close();
      else controller.enqueue(new Uint8Array(65_536).fill(32));
    },
  });
  const chunked = await fetch(`${base()}/v1/tenants/globex`, {
    method: "PUT",
    headers,
    body,
    duplex: "half",
  } as RequestInit).catch(() => null);
  return [await refusal(by, big, 413), chunked === null ? "cut" : await refusal(by, chunked, 413)].join("\n");
});
attempt("tenant-admin: sends a body slowly", async (by) => {
  const answer = await raw(
    `PUT /v1/tenants/globex HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${tokens.globex}\r\nContent-Type: application/json\r\nIf-Match: *\r\nContent-Length: 1000\r\n\r\n{`,
    20_000,
  );
  by.unrevealed(answer);
  if (!answer.startsWith("HTTP/1.1 408")) throw new Error(answer);
  return answer;
});
attempt("tenant-admin: sends headers and URLs without end", async (by) => {
  const long = await rawGet(
    "/v1/tenants/globex",
    `Authorization: Bearer ${tokens.globex}`,
    `X-Long: ${"a".repeat(100_000)}`,
  );
  const url = await rawGet(
    `/v1/tenants/globex?x=${"a".repeat(12_000)}`,
    `Authorization: Bearer ${tokens.globex}`,
  );
  for (const answer of [long, url]) {
    by.unrevealed(answer);
    if (/^HTTP\/1\.1 2/.test(answer)) throw new Error(answer);
  }
  return `${long} ${url} closed or refused`;
});
attempt("tenant-admin: writes over what somebody has changed since", async (by) => {
  const token = tokens.globex;
  const body = { to: ["tokyo"], rules: [{ subjects: ["globex.>"] }] };
  const put = (headers: Record<string, string>) =>
    ask("PUT", "/v1/tenants/globex/exports/all", { token, headers, body });
  return [
    await refusal(by, await put({}), 428),
    await refusal(by, await put({ "if-match": '"0"' }), 412),
    await refusal(by, await put({ "if-match": 'W/"1"' }), 412),
    await refusal(by, await put({ "if-none-match": "*" }), 412),
  ].join("\n");
});

// ── at the end: what changes the state, or uses limits up ──

test("of concurrent writes with one ETag exactly one wins", async () => {
  const { site } = world().at("berlin");
  const path = "/v1/tenants/globex";
  const before = await site.api("GET", path);
  const etag = before.headers.get("etag") ?? "";
  const value = (await before.json()) as object;
  const sensitive = (n: number) => [{ fields: [`$.field${n}`] }];
  const put = (n: number) =>
    site.api("PUT", path, { ...value, sensitive: sensitive(n) }, { "if-match": etag });
  const statuses = (await Promise.all(Array.from({ length: 16 }, (_, n) => put(n)))).map(
    ({ status }) => status,
  );
  expect(statuses.toSorted()).toEqual([200, ...new Array<number>(15).fill(412)]);
  const after = (await (await site.api("GET", path)).json()) as { sensitive: unknown };
  expect(after.sensitive).toEqual(sensitive(statuses.indexOf(200)));
  const now = (await site.api("GET", path)).headers.get("etag") ?? "";
  expect((await site.api("PUT", path, value, { "if-match": now })).status).toBe(200);
  judge().forget();
}, 60_000);

test("a revoked token ends a request that is under way within a second", async () => {
  const { site } = world().at("berlin");
  const made = await site.api("POST", "/v1/tokens", { name: "short", role: "operator" });
  const { token, info } = (await made.json()) as { token: string; info: { id: string } };
  const answer = raw(
    `PUT /v1/tenants/evil HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${token}\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{`,
    20_000,
  );
  // The request is there when its token was used.
  const used = async () => {
    const { items } = (await (await site.api("GET", "/v1/tokens")).json()) as {
      items: { id: string; lastUsed: string | null }[];
    };
    return items.find(({ id }) => id === info.id)?.lastUsed != null;
  };
  await waitFor(used, { what: "the request to begin" });
  const started = performance.now();
  expect((await site.api("DELETE", `/v1/tokens/${info.id}`)).status).toBe(204);
  expect(await answer).toStartWith("HTTP/1.1 401");
  expect(performance.now() - started).toBeLessThan(1000);
  expect((await ask("GET", "/v1/whoami", { token })).status).toBe(401);
  judge().forget();
}, 60_000);

attempt("anonymous: tries tokens until one fits, from addresses that it makes up", async (by, there) => {
  const statuses = new Map<number, number>();
  for (let n = 0; n < 120; n += 1) {
    const headers = {
      "x-forwarded-for": `10.0.0.${n}`,
      "x-real-ip": `10.0.1.${n}`,
      forwarded: `for=10.0.2.${n}`,
    };
    const response = await ask("GET", "/v1/tenants", { token: `lm_guess_number_${n}`, headers });
    by.unrevealed(await response.text());
    statuses.set(response.status, (statuses.get(response.status) ?? 0) + 1);
    if (response.status === 429 && !response.headers.has("retry-after")) throw new Error("No Retry-After");
  }
  const said = JSON.stringify([...statuses]);
  if ((statuses.get(429) ?? 0) === 0 || [...statuses.keys()].some((one) => one !== 401 && one !== 429))
    throw new Error(said);
  // Nobody else is locked out by it.
  const { site } = there.at("berlin");
  if ((await site.api("GET", "/v1/whoami")).status !== 200) throw new Error("The operator is locked out");
  return said;
});
