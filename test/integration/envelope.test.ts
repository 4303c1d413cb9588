/** CloudEvents that cross a link: in both modes, out of plain events, redacted inside. */
import { expect, test } from "bun:test";
import { jetstream } from "@nats-io/jetstream";
import { headers } from "@nats-io/transport-node";
import { startPair } from "../support/mesh.ts";
import { waitFor } from "../support/wait_for.ts";

test("events arrive in the envelope of their rule, redacted inside, and what is no CloudEvent stays", async () => {
  const redact = [{ path: "$.email", with: "remove" as const }];
  await using mesh = await startPair({
    exports: [
      {
        name: "orders",
        to: ["austin"],
        rules: [
          { subjects: ["acme.a.*"], redact, envelope: "cloudevents", rewrite: "acme.out.a.*" },
          { subjects: ["acme.b.*"], redact, envelope: "cloudevents-structured" },
          { subjects: ["acme.c.*"], redact, envelope: { in: "structured" } },
        ],
      },
    ],
    imports: [{ from: "berlin", subjects: ["acme.>"] }],
  });
  await mesh.flowing();
  const [berlin, austin] = [mesh.site("berlin"), mesh.site("austin")];
  const [here, there] = [await berlin.app("acme"), await austin.app("acme")];
  const heard = new Map<string, { data: string; header: (name: string) => string }>();
  there.subscribe("acme.>", {
    callback: (_error, message) => {
      const header = (name: string) => message.headers?.get(name) ?? "";
      heard.set(message.subject, { data: message.string(), header });
    },
  });
  await there.flush();
  const js = jetstream(here);
  const trace = headers();
  trace.set("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
  await js.publish("acme.a.x", '{"n":1.0,"email":"ada@example.com"}', { headers: trace, msgID: "one" });
  await js.publish("acme.b.x", '{"n":2.0,"email":"ada@example.com"}');
  const structured = headers();
  structured.set("Content-Type", "application/cloudevents+json");
  const event = (data: string) =>
    `{ "specversion":"1.0","id":"7","source":"/app","type":"t", "data" : ${data} }`;
  await js.publish("acme.c.bad", "{}", { headers: structured });
  await js.publish("acme.c.x", event('{"email":"ada@example.com","n":3.0}'), { headers: structured });
  await waitFor(() => heard.size === 3, { what: "three events at the far site" });

  const binary = heard.get("acme.out.a.x");
  expect(binary?.data).toBe('{"n":1.0}');
  const said = [
    "specversion",
    "id",
    "source",
    "type",
    "subject",
    "datacontenttype",
    "tenant",
    "origin",
    "traceparent",
  ];
  expect(said.map((name) => binary?.header(`ce-${name}`))).toEqual([
    "1.0",
    "one",
    "/berlin/acme",
    "acme.out.a.x",
    "acme.out.a.x",
    "application/json",
    "acme",
    "berlin",
    "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
  ]);
  expect(binary?.header("traceparent")).toStartWith("00-0af7");

  const whole = heard.get("acme.b.x");
  expect(whole?.header("Content-Type")).toBe("application/cloudevents+json");
  expect(whole?.data).toEndWith('"data":{"n":2.0}}');
  // The id of an event that came without one is that by which its view deduplicates it.
  const { id } = JSON.parse(whole?.data ?? "{}") as { id: string };
  expect(id).toBe(whole?.header("Nats-Msg-Id") ?? "");
  expect(id).toMatch(/^berlin\.out_acme\.\w+\.2$/);

  expect(heard.get("acme.c.x")?.data).toBe(event('{"n":3.0}'));
  const letters = await berlin.json<{ items: { subject: string; reason: string }[] }>("/v1/tenants/acme/dlq");
  expect(letters.items.map((one) => [one.subject, one.reason])).toEqual([["acme.c.bad", "envelope_invalid"]]);
}, 60_000);
