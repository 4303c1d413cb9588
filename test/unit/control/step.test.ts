import { describe, expect, test } from "bun:test";
import { MESH } from "../../../src/control/assets.ts";
import { planExports, planOutRoutes } from "../../../src/control/routes.ts";
import { describeStep, type Step } from "../../../src/control/step.ts";
import { berlin, WRITTEN } from "./fake_server.ts";

const state = berlin([
  {
    tenant: "acme",
    exports: [
      {
        name: "orders",
        to: ["austin"],
        rules: [{ subjects: ["acme.orders.>"], when: "size > 1", redact: [{ path: "$.a", with: "remove" }] }],
      },
    ],
  },
]);
const plan = planExports(state)[0]!;
const route = planOutRoutes(state, [plan], new Map())[0]!;
const OLD = { stream: "out_acme", consumer: "austin", source: "out_acme" };
const CONSUMER = { durable_name: "austin", filter_subjects: ["berlin.acme.a", "berlin.acme.b"] };
const TENANT = { type: "tenant", tenant: "acme" } as const;

const cases: [Step, string, string][] = [
  [
    { type: "stop-view", key: "acme/orders" },
    "acme/orders",
    "stop the worker of view acme/orders: its policy no longer needs one",
  ],
  [
    { type: "create-stream", account: MESH, spec: { name: "out_acme" } },
    "MESH/out_acme",
    "create stream MESH/out_acme",
  ],
  [
    { type: "create-stream", account: TENANT, spec: { name: "acme" } },
    "T_acme/acme",
    "create stream T_acme/acme",
  ],
  [
    { type: "update-stream", account: MESH, spec: { name: "in_acme" }, changed: ["sources", "max_age"] },
    "MESH/in_acme",
    "update stream MESH/in_acme: sources, max_age",
  ],
  [
    { type: "create-consumer", stream: "out_acme", spec: CONSUMER, start: { type: "first" }, paused: false },
    "MESH/out_acme/austin",
    "create consumer MESH/out_acme/austin, starting with the first event (filter berlin.acme.a, berlin.acme.b)",
  ],
  [
    {
      type: "create-consumer",
      stream: "out_acme",
      spec: { durable_name: "austin" },
      start: { type: "new", route, since: WRITTEN, version: "0123456789ab", fresh: false },
      paused: true,
    },
    "MESH/out_acme/austin",
    `create consumer MESH/out_acme/austin, starting with events from ${WRITTEN} on, paused until the peer has proved its key and accepts it`,
  ],
  [
    { type: "update-consumer", stream: "out_acme", spec: CONSUMER, changed: ["filter_subjects"] },
    "MESH/out_acme/austin",
    "update consumer MESH/out_acme/austin: filter_subjects (filter berlin.acme.a, berlin.acme.b)",
  ],
  [
    { type: "pause-consumer", stream: "out_acme", consumer: "austin", why: "austin did not prove its key" },
    "MESH/out_acme/austin",
    "pause out_acme to austin: austin did not prove its key",
  ],
  [
    { type: "resume-consumer", stream: "out_acme", consumer: "austin" },
    "MESH/out_acme/austin",
    "resume out_acme to austin",
  ],
  [
    { type: "configure-server", changed: ["+ tenant acme", "- peer tokyo"] },
    "nats.conf",
    "write and reload the server's configuration: + tenant acme, - peer tokyo",
  ],
  [
    { type: "kick-leaf", peer: "tokyo", why: "tokyo is not a peer" },
    "LINK_tokyo",
    "cut the leaf connection of tokyo: tokyo is not a peer",
  ],
  [
    { type: "create-view", plan, spec: { name: "view_acme_orders" }, from: [], since: null },
    "MESH/view_acme_orders",
    "create view MESH/view_acme_orders of out_acme: rule #1 ('acme.orders.>') has a condition ('when') and redactions",
  ],
  [
    { type: "create-view-consumer", plan, spec: { ...CONSUMER, durable_name: "view_orders" } },
    "MESH/out_acme/view_orders",
    "create the consumer of the view's worker on out_acme (filter berlin.acme.a, berlin.acme.b)",
  ],
  [
    { type: "start-view", plan, version: "0123456789ab" },
    "acme/orders",
    "start the worker of view acme/orders, policy version 0123456789ab",
  ],
  [
    { type: "change-view", plan, version: "0123456789ab", noted: false },
    "acme/orders",
    "decide view acme/orders by policy version 0123456789ab from now on",
  ],
  [
    {
      type: "reattach-source",
      account: { type: "mesh" },
      stream: "in_acme",
      api: "mesh.austin.API",
      source: "out_acme",
      by: "wake",
    },
    "MESH/in_acme",
    "have the server ask at once for out_acme of mesh.austin.API, the source of in_acme: it is silent",
  ],
  [
    {
      type: "reattach-source",
      account: { type: "mesh" },
      stream: "in_acme",
      api: "mesh.austin.API",
      source: "out_acme",
      by: "anew",
    },
    "MESH/in_acme",
    "attach out_acme of mesh.austin.API to in_acme again: it is silent",
  ],
  [
    { type: "unstick-consumer", stream: "out_acme", consumer: "austin", by: "reset" },
    "MESH/out_acme/austin",
    "look after consumer MESH/out_acme/austin, which has events and does not move; where nobody stores any, have who takes them attach again",
  ],
  [
    { type: "unstick-consumer", stream: "out_acme", consumer: "austin", by: "link" },
    "MESH/out_acme/austin",
    "look after consumer MESH/out_acme/austin, which has events and does not move; where its peer stores nothing, make the link anew",
  ],
  [
    { type: "switch-route", route, from: OLD, drain: false, spec: CONSUMER, paused: false, version: "v1" },
    "MESH/view_acme_orders/austin",
    "switch austin from out_acme to view_acme_orders, at the position that it has stored",
  ],
  [
    { type: "switch-route", route, from: OLD, drain: true, spec: CONSUMER, paused: false, version: "v1" },
    "MESH/view_acme_orders/austin",
    "switch austin from out_acme to view_acme_orders, when it has taken the rest of out_acme",
  ],
  [
    { type: "delete-consumer", stream: "out_acme", consumer: "austin", why: "austin is not a peer" },
    "MESH/out_acme/austin",
    "delete consumer out_acme/austin: austin is not a peer",
  ],
  [
    {
      type: "delete-stream",
      account: MESH,
      stream: "mirror_acme_austin",
      why: "no import asks for this mirror",
    },
    "MESH/mirror_acme_austin",
    "delete stream MESH/mirror_acme_austin: no import asks for this mirror",
  ],
];

describe("describeStep()", () => {
  for (const [step, target, text] of cases) {
    test(`says "${text.slice(0, 60)}" when the step is ${step.type}`, () => {
      expect(describeStep(step)).toEqual({ type: step.type, target, text });
    });
  }
});
