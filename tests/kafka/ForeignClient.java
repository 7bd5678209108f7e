// A client that knows nothing of tradecap, on Kafka's own library. Run from its source: java -cp 'libs/*' ForeignClient.java ...
//   consume BOOTSTRAP TOPIC COUNT   prints partition, key, content-type and value of each record, separated by tabs
//   produce BOOTSTRAP TOPIC KEY     writes each line of standard input with this key, and prints the partition of each

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;

public class ForeignClient {
    public static void main(String[] args) throws Exception {
        if (args[0].equals("consume")) {
            consume(args[1], args[2], Integer.parseInt(args[3]));
        } else {
            produce(args[1], args[2], args[3]);
        }
    }

    static void consume(String bootstrap, String topic, int count) {
        String text = "org.apache.kafka.common.serialization.StringDeserializer";
        Map<String, Object> settings = Map.of("bootstrap.servers", bootstrap, "group.id", "java-" + topic, "auto.offset.reset", "earliest",
            "key.deserializer", text, "value.deserializer", text);
        long until = System.currentTimeMillis() + 30_000;
        try (KafkaConsumer<String, String> consumer = new KafkaConsumer<>(settings)) {
            consumer.subscribe(List.of(topic));
            for (int seen = 0; seen < count && System.currentTimeMillis() < until;) {
                for (var record : consumer.poll(Duration.ofMillis(200))) {
                    String type = new String(record.headers().lastHeader("content-type").value(), StandardCharsets.UTF_8);
                    System.out.println(record.partition() + "\t" + record.key() + "\t" + type + "\t" + record.value());
                    seen++;
                }
            }
        }
    }

    static void produce(String bootstrap, String topic, String key) throws Exception {
        String text = "org.apache.kafka.common.serialization.StringSerializer";
        Map<String, Object> settings = Map.of("bootstrap.servers", bootstrap, "key.serializer", text, "value.serializer", text);
        try (KafkaProducer<String, String> producer = new KafkaProducer<>(settings);
                BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8))) {
            for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                System.out.println(producer.send(new ProducerRecord<>(topic, key, line)).get().partition());
            }
        }
    }
}
