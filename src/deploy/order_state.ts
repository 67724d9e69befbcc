// Orders on record, as changes of the state.
import { FLEET_USER, type Operator } from "../core/operator.ts";
import { liftSkips, skipUpTo, withHighestByOrder } from "./decisions.ts";
import {
  beginSwitch,
  commitSwitch,
  type DeployOrder,
  type DeployState,
  isBad,
  type Order,
  type OrderBase,
  type RollbackOrder,
  withoutBad,
  withProven,
} from "./state.ts";

/** What the changes need to know. */
export interface OrderContext {
  clock: { now(): number };
  /** The CalVer format of the tags; empty for SemVer. Defaults to SemVer. */
  calver?: string | undefined;
}

/** A new order on behalf of an operator. */
export function orderBy({ user, message }: Operator, { clock }: OrderContext): OrderBase {
  const at = new Date(clock.now()).toISOString();
  return { id: crypto.randomUUID(), user, message, at };
}

export function operatorOf({ user, message }: Operator): Operator {
  return { user, message };
}

/** The state after an order has failed or was replaced. Another order stays. */
export function withoutOrder(state: DeployState, order: Order | undefined): DeployState {
  if (order === undefined || state.order?.id !== order.id) return state;
  return { ...state, order: undefined };
}

/** The state after an order was carried out: nothing up to the version left behind comes by itself. */
export function withOrderDone(
  state: DeployState,
  order: Order,
  { clock, calver = "" }: OrderContext,
): DeployState {
  const done = withoutOrder(state, order);
  if (order.kind === "restart") return done;
  const counted = withHighestByOrder(done, order.tag, calver);
  const lifted = order.kind === "deploy" ? liftSkips(counted, order.tag, calver) : counted;
  // A halted rollout may be resumed.
  if (order.left === undefined || order.user === FLEET_USER) return lifted;
  return skipUpTo(lifted, order.left, order, { now: clock.now(), calver });
}

/** Unlike an automatic switch, it may return to a release that was marked bad. */
export function beginRollback(
  state: DeployState,
  { tag, directory }: RollbackOrder,
  live: string | undefined,
): DeployState {
  if (state.switching?.to === directory) return state;
  return beginSwitch(withoutBad(state, tag), directory, live);
}

/** A proven release counts as deployed as soon as it serves. `previous` is the next release to fall back to. */
export function commitRollback(
  state: DeployState,
  order: RollbackOrder,
  previous: string | undefined,
  context: OrderContext,
): DeployState {
  const { directory, left } = order;
  const proven = withProven(state, directory, context.clock.now());
  return withOrderDone(
    {
      ...proven,
      switching: undefined,
      previous: isBad(proven, previous) ? undefined : previous,
      afterHook: { directory, previousTag: left },
    },
    order,
    context,
  );
}

/** The same for a release that a deploy makes live without a bake, because it has passed one before. */
export function commitProven(
  state: DeployState,
  { directory, live, order }: { directory: string; live: string | undefined; order: DeployOrder },
  context: OrderContext,
): DeployState {
  const begun = beginSwitch(withoutBad(state, order.tag), directory, live);
  return withOrderDone(commitSwitch(begun, directory, context.clock.now()), order, context);
}
