//! How fast an interface sends, and packets that take a way round: traffic control (tc(8)).

use super::*;
use crate::net::message::nest;

const RTM_NEWQDISC: u16 = 36;
const RTM_NEWTFILTER: u16 = 44;
const TCA_KIND: u16 = 1;
const TCA_OPTIONS: u16 = 2;
const TC_H_ROOT: u32 = 0xffff_ffff;
const TC_H_INGRESS: u32 = 0xffff_fff1;
/// The handle that the queue of what comes in has, always.
const INGRESS: u32 = 0xffff_0000;
const TCA_TBF_PARMS: u16 = 1;
const TCA_TBF_RATE64: u16 = 4;
const TCA_TBF_BURST: u16 = 6;
const TC_LINKLAYER_ETHERNET: u8 = 1;
const TCA_U32_SEL: u16 = 5;
const TCA_U32_ACT: u16 = 7;
const TC_U32_TERMINAL: u8 = 1;
const TCA_ACT_KIND: u16 = 1;
const TCA_ACT_OPTIONS: u16 = 2;
const TCA_MIRRED_PARMS: u16 = 2;
const TC_ACT_STOLEN: u32 = 4;
const TCA_EGRESS_REDIR: u32 = 1;

impl Route {
    /// Has an interface send `rate` bytes a second, by a token bucket (tc-tbf(8)): `burst` bytes at once, and `waiting`
    /// bytes at most that wait; what comes beyond is dropped.
    pub fn limit_rate(&self, index: u32, rate: u64, burst: u32, waiting: u32) -> Result<()> {
        // struct tc_ratespec: cell_log, linklayer, overhead, cell_align, mpu, rate.
        let mut spec = vec![0, TC_LINKLAYER_ETHERNET, 0, 0, 0, 0, 0, 0];
        spec.extend(u32::try_from(rate).unwrap_or(u32::MAX).to_ne_bytes());
        // struct tc_tbf_qopt: rate, peak rate, limit, buffer, mtu.
        let mut parms = spec;
        parms.extend([0; 12]);
        parms.extend(waiting.to_ne_bytes());
        parms.extend([0; 8]);
        let options = nest(&[
            (TCA_TBF_PARMS, &parms),
            (TCA_TBF_RATE64, &rate.to_ne_bytes()),
            (TCA_TBF_BURST, &burst.to_ne_bytes()),
        ]);
        let request = traffic(RTM_NEWQDISC, index, 0, TC_H_ROOT, 0).attribute(TCA_KIND, b"tbf\0");
        let call = || format!("rtnetlink(RTM_NEWQDISC, {index}, tbf {rate})");
        self.ask(request.attribute(TCA_OPTIONS, &options), &call, &mut |_| {})
    }

    /// Sends all that comes in by an interface through another one (`ifb`), after which it goes on as if nothing had been.
    pub fn redirect_ingress(&self, index: u32, through: u32) -> Result<()> {
        let queue = traffic(RTM_NEWQDISC, index, INGRESS, TC_H_INGRESS, 0).attribute(TCA_KIND, b"ingress\0");
        self.ask(queue, &|| format!("rtnetlink(RTM_NEWQDISC, {index}, ingress)"), &mut |_| {})?;
        // struct tc_mirred: index, capabilities, action, two counts, what to do, with which interface.
        let mirred = [0, 0, TC_ACT_STOLEN, 0, 0, TCA_EGRESS_REDIR, through].map(u32::to_ne_bytes).concat();
        let mirred = nest(&[(TCA_MIRRED_PARMS, &mirred)]);
        let action = nest(&[(TCA_ACT_KIND, b"mirred\0"), (TCA_ACT_OPTIONS, &mirred)]);
        // struct tc_u32_sel with one key, which every packet matches.
        let mut selector = vec![TC_U32_TERMINAL, 0, 1];
        selector.resize(16 + 16, 0);
        let options = nest(&[(TCA_U32_SEL, &selector), (TCA_U32_ACT, &nest(&[(1, &action)]))]);
        // The priority, and the protocol ETH_P_ALL.
        let info = 1 << 16 | u32::from(3_u16.to_be());
        let filter = traffic(RTM_NEWTFILTER, index, 0, INGRESS, info).attribute(TCA_KIND, b"u32\0");
        let call = || format!("rtnetlink(RTM_NEWTFILTER, {index}, mirred {through})");
        self.ask(filter.attribute(TCA_OPTIONS, &options), &call, &mut |_| {})
    }
}

/// A request with `struct tcmsg`: family, padding, index, handle, parent, info.
fn traffic(kind: u16, index: u32, handle: u32, parent: u32, info: u32) -> Request {
    let header = [0, index, handle, parent, info].map(u32::to_ne_bytes).concat();
    Request::new(kind, NLM_F_REQUEST | NLM_F_ACK | NLM_F_EXCL_CREATE, &header)
}
