/** A running site and what its site file forbids: policies are refused by the API and at the start, before anything flows. */
import { expect, test } from "bun:test";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import type { Forbid } from "../../src/model/schema/guards.ts";
import type { ExportPolicy } from "../../src/model/schema/policy.ts";
import { createSigningKey } from "../../src/nats/keys.ts";
import { type Sidecar, startSidecar } from "../../src/sidecar.ts";
import { tempFolder } from "../support/temp_folder.ts";

const KEY = createSigningKey().publicKey;
const LISTEN = "127.0.0.1:0";
const EMAIL = { path: "$.customer.email", with: "remove" } as const;
const policy = (rules: ExportPolicy["rules"]): ExportPolicy => ({ name: "orders", to: ["tokyo"], rules });

async function start(base: string, forbid: Forbid[]): Promise<Sidecar> {
  return await startSidecar({
    file: {
      site: "berlin",
      data: base,
      server: { listen: LISTEN, leaf: LISTEN, linger: "1s" },
      api: { listen: LISTEN },
      forbid,
      peers: [{ name: "tokyo", key: KEY }],
      tenants: [{ tenant: "acme", exports: [policy([{ subjects: ["acme.orders.>"], redact: [EMAIL] }])] }],
    },
    base,
    log: () => {},
    env: process.env,
  });
}

test("a site refuses a policy that lets out what its site file forbids, and does not start with one", async () => {
  await using folder = await tempFolder();
  const base = join(folder.path, "berlin");
  const forbid: Forbid[] = [{ from: "berlin", to: "tokyo", fields: ["$.customer.email"] }];
  {
    await using site = await start(base, forbid);
    const token = (await readFile(join(base, "keys", "api.token"), "utf8")).trim();
    const call = (method: string, path: string, body?: unknown) =>
      fetch(`${site.apiUrl}${path}`, {
        method,
        headers: { authorization: `Bearer ${token}`, "content-type": "application/json", "if-match": "*" },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
    const put = (rules: ExportPolicy["rules"]) =>
      call("PUT", "/v1/tenants/acme/exports/orders", policy(rules));

    const refused = await put([{ subjects: ["acme.orders.>"] }]);
    expect([refused.status, await refused.json()]).toMatchObject([
      422,
      {
        code: "policy_invalid",
        problems: [
          {
            path: "rules[0].subjects[0]",
            message:
              "'acme.orders.>' of berlin would reach tokyo with $.customer.email unredacted, which forbid[0] forbids",
            code: "forbidden-flow",
          },
        ],
      },
    ]);
    expect(site.control.state.desired().state.tenants[0]?.exports[0]?.rules[0]?.redact).toEqual([EMAIL]);
    expect(
      (await put([{ subjects: ["acme.>"], redact: [{ path: "$.customer", with: "mask" }] }])).status,
    ).toBe(200);
    const lint = (await (await call("GET", "/v1/lint")).json()) as { errors: number };
    expect(lint.errors).toBe(0);
  }
  // What was allowed then is forbidden now.
  await expect(start(base, [{ from: "*", to: "tokyo", subjects: ["acme.stock.>"] }])).rejects.toMatchObject({
    code: "config_invalid",
    message: expect.stringContaining("'acme.>' of berlin would reach tokyo, which forbid[0] forbids"),
  });
  await using again = await start(base, forbid);
  expect(again.site).toBe("berlin");
}, 60_000);
