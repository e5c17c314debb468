export { createDashboard, type DashboardHandler } from "./dashboard.ts";
export { type NodeListener, toNodeListener } from "./node-listener.ts";
export type { DashboardActions, DashboardOptions } from "./options.ts";
