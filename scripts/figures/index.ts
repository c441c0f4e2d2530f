import { balancerOutageChart, balancerPartialChart } from './balancer.js';
import { outageChart, overloadChart } from './breaker.js';
import { followChart } from './concurrency.js';
import { deadlineChart } from './deadline.js';
import { failoverChart } from './failover.js';
import { hedgeChart } from './hedge.js';
import { layoutDrawing } from './isolation.js';
import { momentsDrawing, pathDrawing } from './pipeline.js';
import { windowChart } from './rate-limiter.js';
import { outageOfLayersChart } from './retry.js';
import { ringDrawing, sleepDrawing } from './ring.js';
import { scenarioCharts } from './scenarios.js';
import { reportChart } from './simulator.js';
import { tiersChart } from './tiers.js';
import { limitChart, slowDownChart } from './timeout.js';

/** The figures of the documentation by file name, drawn from runs of the library in virtual time: always the same. */
export const figures = async (): Promise<Record<string, string>> => ({
  'balancer-outage.svg': balancerOutageChart(),
  'balancer-partial.svg': balancerPartialChart(),
  'call-moments.svg': momentsDrawing(),
  'call-path.svg': pathDrawing(),
  'circuit-breaker-outage.svg': outageChart(),
  'circuit-breaker-overload.svg': overloadChart(),
  'concurrency-limiter-follow.svg': followChart(),
  'dynamic-timeout-slow-down.svg': await slowDownChart(),
  'dynamic-timeout-limit.svg': limitChart(),
  'isolation-layout.svg': layoutDrawing(),
  'rate-limiter-window.svg': windowChart(),
  'deadline-trap.svg': deadlineChart(),
  'failover-window.svg': await failoverChart(),
  'hedge-tail.svg': await hedgeChart(),
  'retry-outage.svg': await outageOfLayersChart(),
  ...(await scenarioCharts()),
  'simulator-report.svg': await reportChart(),
  'tiers-overload.svg': tiersChart(),
  'ring-layout.svg': ringDrawing(),
  'ring-sleep.svg': sleepDrawing(),
});
