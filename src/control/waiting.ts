/** A step that cannot be done yet: it is tried again, and nothing is wrong. */
export class Waiting extends Error {
  override readonly name = "Waiting";
}
