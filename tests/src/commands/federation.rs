//! `weft-tests federation`

use super::{end, say};
use std::process::ExitCode;
use std::time::Duration;
use weft_node::clock::Clock;
use weft_tests::federation;
use weft_tests::kit::cells::Weather;
use weft_tests::require::Tool;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Networks
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u8).range(3..=50))]
    networks: u8,
    /// Payments of all networks together
    #[arg(long, default_value_t = 1_000)]
    payments: u64,
    /// Chooses payments, victims, sides and lost packets; a fresh one when absent
    #[arg(long)]
    seed: Option<u64>,
    /// How late packets come, one way
    #[arg(long, default_value_t = 100)]
    delay_ms: u64,
    /// How many TCP packets of a hundred are lost
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(0..=90))]
    tcp_loss: u64,
    /// How many UDP packets of a hundred are lost
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(0..=90))]
    udp_loss: u64,
    /// The nodes speak QUIC instead of TCP
    #[arg(long)]
    quic: bool,
    /// Cut nobody off and kill nobody
    #[arg(long)]
    calm: bool,
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let options = federation::Options {
        networks: arguments.networks,
        payments: arguments.payments,
        seed: arguments.seed.unwrap_or_else(|| u64::from(u32::from_le_bytes(Clock.random()))),
        quic: arguments.quic,
        weather: Weather {
            delay: Duration::from_millis(arguments.delay_ms),
            tcp_loss: arguments.tcp_loss,
            udp_loss: arguments.udp_loss,
            sides: Vec::new(),
        },
        misfortunes: !arguments.calm,
    };
    say(&format!("{} networks, {} payments, seed {}", options.networks, options.payments, options.seed));
    end(async {
        let tally = federation::run(&options, &mut |line| say(&line)).await?;
        tell(&options, &tally);
        Ok(())
    })
}

fn tell(options: &federation::Options, tally: &federation::Tally) {
    if tally.namespaces {
        let [carried, lost, bytes] = tally.packets;
        let [sent, again] = tally.segments;
        say(&format!(
            "wire: {} ms each way, {} % of {} lost: {carried} packets and {bytes} bytes carried, {lost} lost; \
             {sent} TCP segments sent, {again} of them again",
            options.weather.delay.as_millis(),
            if options.quic { options.weather.udp_loss } else { options.weather.tcp_loss },
            if options.quic { "UDP (QUIC)" } else { "TCP" }
        ));
    } else {
        say(&format!(
            "no network namespaces here (needs {}): loopback, with no delay and no loss",
            Tool::Namespaces.needs()
        ));
    }
    say(&format!(
        "misfortunes: {} kills, {} partitions; {} requests repeated",
        tally.kills, tally.partitions, tally.repeated
    ));
    say(&format!(
        "payments: {} acknowledged, {} of them to other networks, {} of these freed; {} refused at once; \
         all begun in {} ms, all ended {} ms later",
        tally.acknowledged, tally.between, tally.freed, tally.refused, tally.paying_ms, tally.ending_ms
    ));
    say(&format!("{} entries; every payment ended, positions are opposite, audits clean", tally.entries));
}
